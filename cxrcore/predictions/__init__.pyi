from .column_names import guess_columns, known_finding
from .import_table import Labels, read_labels, read_predictions
from .record import Predictions
from .table_reader import TableFile, table_name

__all__ = [
    "Labels",
    "Predictions",
    "TableFile",
    "guess_columns",
    "known_finding",
    "read_labels",
    "read_predictions",
    "table_name",
]
