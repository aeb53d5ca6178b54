from .bundle.folder import embedded_models
from .errors import CxrError
from .explain.heatmap import Heatmap
from .films.radiograph import Radiograph, read_radiograph
from .findings import LabelSet
from .models.base import Analysis, Prediction
from .models.classifier import Classifier
from .models.opening import load

__version__: str

__all__ = [
    "Analysis",
    "Classifier",
    "CxrError",
    "Heatmap",
    "LabelSet",
    "Prediction",
    "Radiograph",
    "embedded_models",
    "load",
    "read_radiograph",
]
