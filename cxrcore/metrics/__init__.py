"""Metrics: arrays in, numbers with intervals out; unknown labels are NaN and left out, intervals count patients."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
