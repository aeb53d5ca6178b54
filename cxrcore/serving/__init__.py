"""What a web screen serves: which models and films it offers, what it says of them, and what it keeps of a visitor."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
