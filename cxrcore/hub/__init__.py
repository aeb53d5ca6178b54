"""Access to the Hugging Face Hub: pulls, the local cache, checksums, and errors in one sentence."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
