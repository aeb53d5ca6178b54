from .augmentation import Augmentation
from .config import Recipe, read_recipe
from .loop import train_network
from .reporters import ConsoleReporter, Reporter
from .run import fit

__all__ = [
    "Augmentation",
    "ConsoleReporter",
    "Recipe",
    "Reporter",
    "fit",
    "read_recipe",
    "train_network",
]
