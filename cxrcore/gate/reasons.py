"""Why a film is refused or remarked on, by code, and what the file alone tells of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cxrcore.films.quality import has_few_levels, histogram, is_blank, is_saturated, is_small, subsample
from cxrcore.films.radiograph import COLOUR_WARNING, Radiograph

_LATERAL = ("LL", "RL", "LLD", "RLD", "LAT", "LATERAL")  # DICOM's View Position


@dataclass(frozen=True)
class Reason:
    """One thing that can be wrong with a film."""

    code: str
    sentence: str  # empty: the film's own warnings say it, with figures
    refuses: bool  # whether a screen withholds the findings; else it is a remark


REASONS = {
    reason.code: reason
    for reason in (
        Reason("NOT_A_CHEST_XRAY", "This does not look like a front view of a chest.", True),
        Reason("LATERAL_VIEW", "The file says that this is a side view; the model reads front views only.", True),
        Reason("ROTATED", "The film seems to be turned.", True),
        Reason("INVERTED", "Black and white seem to be exchanged.", True),
        Reason("MIRRORED", "Left and right seem to be exchanged, or the heart lies on the right.", False),
        Reason("CROPPED", "A part of the chest seems to be cut off.", False),
        Reason("LOW_RESOLUTION", "", False),
        Reason("COLOUR_PHOTO", "", False),
        Reason("BIT_DEPTH_LOST", "", False),
        Reason("FAR_FROM_TRAINING", "The film is unlike those that the model learned from.", False),
    )
}


@dataclass(frozen=True)
class Verdict:
    """What the gate says of one film."""

    accepted: bool | None  # None: the bundle has no gate
    reasons: tuple[str, ...] = ()  # codes of ``REASONS``, refusals first
    turn: int = 0  # quarter turns, counter-clockwise, that would put the film upright
    invert: bool = False  # whether exchanging black and white would help

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence a reason, but for those of which the film's own warnings tell more."""
        return tuple(REASONS[code].sentence for code in self.reasons if REASONS[code].sentence)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "accepted": self.accepted,
            "reasons": list(self.reasons),
            "sentences": list(self.sentences),
            "turn": self.turn,
            "invert": self.invert,
        }


NO_GATE = Verdict(None)


def joined(verdicts: Sequence[Verdict]) -> Verdict:
    """What several gates say of one film: refused where one refuses it; none where none has a gate."""
    spoken = [verdict for verdict in verdicts if verdict.accepted is not None]
    if not spoken:
        return NO_GATE
    corrected = max(spoken, key=lambda verdict: (verdict.turn > 0) + verdict.invert)
    return decided({code for verdict in spoken for code in verdict.reasons}, corrected.turn, corrected.invert)


def decided(codes: set[str], turn: int = 0, invert: bool = False) -> Verdict:
    """The verdict on a film with these reasons."""
    ordered = sorted(codes, key=lambda code: (not REASONS[code].refuses, list(REASONS).index(code)))
    accepted = not any(REASONS[code].refuses for code in ordered)
    return Verdict(accepted, tuple(ordered), turn if "ROTATED" in codes else 0, invert and "INVERTED" in codes)


def reasons_of(film: Radiograph) -> set[str]:
    """What the file alone tells: its size, its grey levels, its colours, its DICOM view; codes of ``REASONS``."""
    levels = histogram(subsample(film.pixels))
    found = {
        "LOW_RESOLUTION": is_small(film.height, film.width),
        "COLOUR_PHOTO": COLOUR_WARNING in film.warnings,
        "BIT_DEPTH_LOST": has_few_levels(levels) or is_saturated(levels),
        "LATERAL_VIEW": film.view.upper() in _LATERAL,
        "NOT_A_CHEST_XRAY": is_blank(levels),
    }
    return {code for code, true in found.items() if true}
