"""A model is a folder: its config, its weights, its scores, and the references that name it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
