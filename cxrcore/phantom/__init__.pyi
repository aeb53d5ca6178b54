from .examples import write_examples
from .film import MARGIN, PHANTOM5, Phantom, draw_phantom, random_findings

__all__ = ["MARGIN", "PHANTOM5", "Phantom", "draw_phantom", "random_findings", "write_examples"]
