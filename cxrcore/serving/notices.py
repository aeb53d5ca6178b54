"""What someone should know before choosing a model: its cost, its training films, and its maker's warning.

Read from configs alone, so that a menu can show it before any weights are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.folder import is_ensemble, member_folders, read_config, read_ensemble

if TYPE_CHECKING:
    from cxrcore.models.base import Model

DISCLAIMER = "For research and teaching only, never for diagnosis."
SYNTHETIC_MODEL = (
    "This model learned from synthetic films, drawn by a program; what it says of a person's film means nothing."
)
_TIMES = {2: "twice", 3: "three times", 4: "four times"}


@dataclass(frozen=True)
class Notices:
    """The notices of one model, in words that a screen can print beside its name."""

    cost: str  # relative to one forward pass of one network; empty for just that
    synthetic: bool  # the model, or a member, learned from drawn films
    note: str = ""  # the warning of its maker, or of its members' makers, in whole sentences; empty without one
    who: str = ""  # whose films it learned from; empty where that is unknown or nobody's

    @property
    def short(self) -> str:
        """Cost and training films in a few words."""
        return "; ".join(words for words in ("synthetic films only" * self.synthetic, self.cost) if words)

    def title(self, name: str) -> str:
        """The name with its notices, for a menu, e.g. ``pair (synthetic films only; with a warning)``."""
        notices = [words for words in (self.short, "with a warning" * bool(self.note)) if words]
        return f"{name} ({'; '.join(notices)})" if notices else name

    @property
    def population(self) -> str:
        """For whom the model's numbers hold, in two short sentences; empty where its films are unknown or drawn."""
        if not self.who or self.synthetic:
            return ""
        others = "It has seen no other patients, and its percentages are not valid for them."
        return f"It learned from films of {self.who[:200]}. {others}"

    @property
    def caveats(self) -> str:
        """Everything to know beside an answer: training films, population, the maker's warning, the purpose."""
        return " ".join(filter(None, (SYNTHETIC_MODEL * self.synthetic, self.population, self.note, DISCLAIMER)))

    @property
    def first_sentence(self) -> str:
        """The note's first sentence, which fits above a result."""
        match = re.match(r".+?[.!?](?=\s+[A-Z]|\s*$)", self.note, re.DOTALL)
        return match[0] if match else self.note


def provenance_note(provenance: Mapping[str, object]) -> str:
    """The maker's warning in a bundle's provenance, on one line; empty where it is missing or no text."""
    note = provenance.get("note")
    return " ".join(note.split()) if isinstance(note, str) else ""


def provenance_who(provenance: Mapping[str, object]) -> str:
    """Whose films a bundle learned from, as its provenance says; empty where it does not."""
    source = provenance.get("source")
    who = source.get("who") if isinstance(source, dict) else None
    return " ".join(who.split()) if isinstance(who, str) else ""


def notices_of(model: Model) -> Notices:
    """The notices of an opened model. Raises InvalidBundle as ``read_notices`` does."""
    if model.folder:
        return read_notices(model.folder)
    provenance = model.info["provenance"]
    return Notices("", bool(provenance.get("synthetic")), provenance_note(provenance), provenance_who(provenance))


def read_notices(folder: Path) -> Notices:
    """The notices of a bundle or an ensemble. Raises InvalidBundle for a config that cannot be trusted."""
    several = is_ensemble(folder)
    members = member_folders(folder, read_ensemble(folder)) if several else [folder]
    configs = [read_config(member) for member in members]
    passes = sum(2 if config.test_time_augmentation == "flip" else 1 for config in configs)
    synthetic = any(bool(config.provenance.get("synthetic")) for config in configs)
    notes = [provenance_note(read_ensemble(folder).provenance)] if several else []
    notes += [provenance_note(config.provenance) for config in configs]
    note = " ".join(dict.fromkeys(note for note in notes if note))
    who = "; ".join(dict.fromkeys(filter(None, (provenance_who(config.provenance) for config in configs))))
    if passes == 1:
        return Notices("", synthetic, note, who)
    what = f"{len(configs)} members" if several else "looks twice, mirrored"
    if several and passes > len(configs):
        what += ", some of which look twice, mirrored" if passes < 2 * len(configs) else " that look twice, mirrored"
    return Notices(f"{what}: about {_TIMES.get(passes, f'{passes} times')} the time", synthetic, note, who)
