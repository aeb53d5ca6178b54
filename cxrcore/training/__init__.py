"""From a recipe and labelled films to a bundle: recipes, losses, augmentation, the training loop, checkpoints."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
