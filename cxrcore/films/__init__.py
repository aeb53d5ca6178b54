"""From a file of any kind to pixels in [0, 1], bright where the body is dense, and from pixels to a network's input."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
