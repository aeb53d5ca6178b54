"""Where on a film a finding was seen: class activation maps, maps by gradients, a random control, and their drawing."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
