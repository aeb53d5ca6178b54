"""Opened models: one network or an ensemble behind one interface, from a folder, TorchXRayVision or the Hub."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
