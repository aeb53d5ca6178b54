"""Reports of a model's scores: one HTML file, and the static charts that the model card shares."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
