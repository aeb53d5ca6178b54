"""Chest films of nobody: drawn from a seed, with findings whose box and mask are known exactly.

For tests with a known truth, for example films that need no one's consent, and for showing that training works.
They resemble films enough to teach with, and are no substitute for them: never report a score on phantoms as if it
were one on people.

    phantom = draw_phantom(7, ["Effusion"])
    phantom.film, phantom.masks["Effusion"], phantom.boxes["Effusion"], phantom.lungs
"""

from __future__ import annotations

from cxrcore.phantom.film import MARGIN, PHANTOM5, Phantom, draw_phantom, random_findings

__all__ = ["MARGIN", "PHANTOM5", "Phantom", "draw_phantom", "random_findings"]
