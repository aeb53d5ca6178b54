from .base import Analysis, Model, Prediction
from .classifier import Classifier
from .ensemble import Ensemble
from .erasing import Erased, Erasure, erase
from .golden import SelfTest, self_test, write_golden
from .opening import find_bundle, load
from .precision import default_dtype
from .shaking import Change, compare_films, shake, spread

__all__ = [
    "Analysis",
    "Change",
    "Classifier",
    "Ensemble",
    "Erased",
    "Erasure",
    "Model",
    "Prediction",
    "SelfTest",
    "compare_films",
    "default_dtype",
    "erase",
    "find_bundle",
    "load",
    "self_test",
    "shake",
    "spread",
    "write_golden",
]
