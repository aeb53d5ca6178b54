"""What should someone know before choosing a model? Its price, and whether it ever saw a film of a person.

Read from configs alone, so a screen can say it in a menu before any weights are loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cxrcore.bundle import is_ensemble, member_folders, read_config, read_ensemble

_TIMES = {2: "twice", 3: "three times", 4: "four times"}


@dataclass(frozen=True)
class Caveats:
    """In words a screen can print beside the model's name."""

    cost: str  # against one look of one network; empty where it is just that
    synthetic: bool  # it, or one of its members, learned from drawn films

    def title(self, name: str) -> str:
        """The name with its caveats, for a menu."""
        said = [words for words in ("synthetic films only" * self.synthetic, self.cost) if words]
        return f"{name} ({'; '.join(said)})" if said else name


def caveats(folder: Path) -> Caveats:
    """Of a bundle or an ensemble. Raises InvalidBundle where a config cannot be trusted."""
    several = is_ensemble(folder)
    members = member_folders(folder, read_ensemble(folder)) if several else [folder]
    configs = [read_config(member) for member in members]
    passes = sum(2 if config.test_time_augmentation == "flip" else 1 for config in configs)
    synthetic = any(bool(config.provenance.get("synthetic")) for config in configs)
    if passes == 1:
        return Caveats("", synthetic)
    what = f"{len(configs)} members" if several else "looks twice, mirrored"
    if several and passes > len(configs):
        what += ", some of which look twice, mirrored" if passes < 2 * len(configs) else " that look twice, mirrored"
    return Caveats(f"{what}: about {_TIMES.get(passes, f'{passes} times')} the time", synthetic)
