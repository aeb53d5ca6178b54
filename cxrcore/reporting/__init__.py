"""Reports of a model's scores: one HTML file, static charts and reporting checklists, which the model card shares."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
