from .encoding import data_uri
from .preprocessing import Preprocessing
from .quality import warnings_for
from .radiograph import Radiograph, read_radiograph
from .windowing import Window, apply_window

__all__ = [
    "Preprocessing",
    "Radiograph",
    "Window",
    "apply_window",
    "data_uri",
    "read_radiograph",
    "warnings_for",
]
