from .examples import write_examples
from .film import MARGIN, Phantom, draw_phantom, random_findings

__all__ = ["MARGIN", "Phantom", "draw_phantom", "random_findings", "write_examples"]
