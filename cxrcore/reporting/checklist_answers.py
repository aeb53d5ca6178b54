"""How a bundle answers the items of reporting checklists: done with the measured fact, not done and why, or open.

An answer is done only by what the bundle itself holds. What a person alone can say is for the publisher.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from cxrcore.reporting.bundle_facts import BundleFacts
from cxrcore.text import NumberFormat

NUMBER = NumberFormat()


class Status(StrEnum):
    """Whether an item is answered."""

    DONE = "done"
    NOT_DONE = "not done"
    OPEN = "for the publisher"


@dataclass(frozen=True)
class Answer:
    """The status of an item and the fact, the reason or the request behind it."""

    status: Status
    text: str


Answering = Callable[[BundleFacts], Answer]


def done(text: str) -> Answer:
    """Done, with the fact."""
    return Answer(Status.DONE, text)


def not_done(why: str) -> Answer:
    """Not done, with the reason."""
    return Answer(Status.NOT_DONE, why)


def never(why: str) -> Answering:
    """Not done in any bundle."""
    return lambda facts: not_done(why)


def always(text: str) -> Answering:
    """True of every bundle that this project writes."""
    return lambda facts: done(text)


def publisher(text: str) -> Answering:
    """What only the publisher of the model can say."""
    return lambda facts: Answer(Status.OPEN, text)


def either(fact: str, why: str) -> Answer:
    """Done with the fact where there is one, else not done."""
    return done(fact) if fact else not_done(why)


def architectures(facts: BundleFacts) -> str:
    """Kinds of network, each once."""
    return ", ".join(dict.fromkeys(member.architecture for member in facts.members))


def of_public(facts: BundleFacts, fact: str, what: str) -> Answer:
    """Done where all training films are of sources known by name; else the publisher says what."""
    return done(fact) if facts.public and fact else Answer(Status.OPEN, f"{what}: the films are the maker's own")
