"""What should someone know before choosing or believing a model? Its price, whether it ever saw a film of a person, and
what its maker warns of.

Read from configs alone, so a screen can say it in a menu before any weights are loaded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cxrcore.bundle.folder import is_ensemble, member_folders, read_config, read_ensemble

_TIMES = {2: "twice", 3: "three times", 4: "four times"}


@dataclass(frozen=True)
class Caveats:
    """In words a screen can print beside the model's name."""

    cost: str  # against one look of one network; empty where it is just that
    synthetic: bool  # it, or one of its members, learned from drawn films
    note: str = ""  # its own warning, or its members', whole sentences; empty where it carries none

    @property
    def short(self) -> str:
        """Price and origin in a few words."""
        return "; ".join(words for words in ("synthetic films only" * self.synthetic, self.cost) if words)

    def title(self, name: str) -> str:
        """The name with its caveats, for a menu."""
        said = [words for words in (self.short, "with a warning" * bool(self.note)) if words]
        return f"{name} ({'; '.join(said)})" if said else name

    @property
    def first_sentence(self) -> str:
        """Of the note: as much as fits above an answer."""
        found = re.match(r".+?[.!?](?=\s+[A-Z]|\s*$)", self.note, re.DOTALL)
        return found[0] if found else self.note


def own_note(provenance: dict) -> str:
    """What a bundle's maker warns of, on one line; provenance is written for people, so it may hold anything."""
    note = provenance.get("note")
    return " ".join(note.split()) if isinstance(note, str) else ""


def caveats(folder: Path) -> Caveats:
    """Of a bundle or an ensemble. Raises InvalidBundle where a config cannot be trusted."""
    several = is_ensemble(folder)
    members = member_folders(folder, read_ensemble(folder)) if several else [folder]
    configs = [read_config(member) for member in members]
    passes = sum(2 if config.test_time_augmentation == "flip" else 1 for config in configs)
    synthetic = any(bool(config.provenance.get("synthetic")) for config in configs)
    notes = [own_note(read_ensemble(folder).provenance)] if several else []
    notes += [own_note(config.provenance) for config in configs]
    note = " ".join(dict.fromkeys(said for said in notes if said))
    if passes == 1:
        return Caveats("", synthetic, note)
    what = f"{len(configs)} members" if several else "looks twice, mirrored"
    if several and passes > len(configs):
        what += ", some of which look twice, mirrored" if passes < 2 * len(configs) else " that look twice, mirrored"
    return Caveats(f"{what}: about {_TIMES.get(passes, f'{passes} times')} the time", synthetic, note)
