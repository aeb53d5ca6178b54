"""Synthetic chest films of nobody, drawn from a seed, with findings whose mask and box are known exactly."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
