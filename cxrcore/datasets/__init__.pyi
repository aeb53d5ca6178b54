from .boxes import Box, read_boxes
from .cache import DecodedFilms, open_films
from .check import Report, check_dataset
from .download import get_dataset
from .reader import DatasetReader
from .registry import DATASETS, detect_dataset, read_dataset, usual_labels
from .splits import carve, split_by_patient
from .table import FilmTable

__all__ = [
    "DATASETS",
    "Box",
    "DatasetReader",
    "DecodedFilms",
    "FilmTable",
    "Report",
    "carve",
    "check_dataset",
    "detect_dataset",
    "get_dataset",
    "open_films",
    "read_boxes",
    "read_dataset",
    "split_by_patient",
    "usual_labels",
]
