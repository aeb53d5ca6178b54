"""Predictions: the record of a model's probabilities beside the labels, and tables of any format that become one."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
