"""cxrcore: open a chest film, get a calibrated probability and a checkable map for every finding.

For research and teaching, never for diagnosis. ``import cxrcore`` is cheap: torch is loaded by the first model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cxrcore.bundle.folder import embedded_models
    from cxrcore.errors import CxrError
    from cxrcore.explain.heatmap import Heatmap
    from cxrcore.films.radiograph import Radiograph, read_radiograph
    from cxrcore.findings import LabelSet
    from cxrcore.models.base import Analysis, Prediction
    from cxrcore.models.classifier import Classifier
    from cxrcore.models.opening import load

__version__ = "0.1.0"

_HOMES = {
    "Analysis": "cxrcore.models.base",
    "Classifier": "cxrcore.models.classifier",
    "CxrError": "cxrcore.errors",
    "Heatmap": "cxrcore.explain.heatmap",
    "LabelSet": "cxrcore.findings",
    "Prediction": "cxrcore.models.base",
    "Radiograph": "cxrcore.films.radiograph",
    "embedded_models": "cxrcore.bundle.folder",
    "load": "cxrcore.models.opening",
    "read_radiograph": "cxrcore.films.radiograph",
}

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


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'cxrcore' has no attribute {name!r}")
