"""cxrcore: open a chest film, get a calibrated probability and a checkable map for every finding.

For research and teaching, never for diagnosis. ``import cxrcore`` is cheap: torch is loaded by the first model.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
