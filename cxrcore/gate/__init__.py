"""Whether a film is one that a model can read: a front view of a chest, upright and not inverted."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
