"""What leaves this machine: model cards, pushes to the Hub, and Spaces that show a model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
