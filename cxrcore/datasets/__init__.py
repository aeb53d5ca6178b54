"""Collections of films with labels and patients: one file a source, the registry, splits by patient, the film cache."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
