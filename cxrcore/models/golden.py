"""Test whether a model gives the outputs here that it gave where it was made, on phantoms drawn again from their seeds.

A bundle stores its logits on them (``evaluation/golden.json``), in float32 on a CPU. Exchanged weights, a changed
preprocessing or a library that computes differently change those numbers. No film of a person is needed.
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrcore.bundle.folder import GOLDEN
from cxrcore.models.base import Model
from cxrcore.phantom.film import draw_phantom
from cxrcore.storage import write_json

if TYPE_CHECKING:
    from cxrcore.models.classifier import Classifier

TOLERANCE = 1e-3  # logits, float32: what another processor or build of torch may move
FAST_TOLERANCE = 0.05  # share of the largest golden logit (at least 1): what bfloat16's 8 bits may move
FILMS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (11, ()),
    (12, ("Consolidation",)),
    (13, ("Effusion", "Cardiomegaly")),
)
SIZE = (384, 320)  # rows, columns; not square, so that an axis mixed up shows


@dataclass(frozen=True)
class SelfTest:
    """Whether a model's outputs are those it was published with."""

    passed: bool | None  # None: the bundle has no golden outputs
    largest_difference: float | None  # logits, float32 on a CPU
    films: int
    why: str  # the result as a sentence
    fast_difference: float | None = None  # logits, in the type this machine computes in; None: that is float32 too


def write_golden(classifier: Classifier, folder: Path) -> None:
    """Store the classifier's float32 logits on a few phantoms in ``folder/evaluation/golden.json``."""
    logits = _logits(_exact(classifier), FILMS, SIZE)
    films = [
        {
            "seed": seed,
            "findings": list(findings),
            "size": list(SIZE),
            "logits": {name: round(float(value), 6) for name, value in zip(classifier.labels, row, strict=True)},
        }
        for (seed, findings), row in zip(FILMS, logits, strict=True)
    ]
    path = folder / GOLDEN
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"schema": 1, "dtype": "float32", "films": films})


def self_test(model: Model) -> SelfTest:
    """Compare the model's logits on the golden phantoms with the stored ones; of an ensemble, every member's."""
    members: tuple[Classifier, ...] | None = getattr(model, "members", None)
    if members is not None:
        return _together([(member.name, self_test(member)) for member in members])
    classifier: Classifier = model  # type: ignore[assignment]
    path = classifier.folder / GOLDEN if classifier.folder else None
    if path is None or not path.is_file():
        return SelfTest(None, None, 0, "this model carries no golden outputs to compare with")
    try:
        data = json.loads(path.read_text("utf-8"))
        films = tuple((int(film["seed"]), tuple(film["findings"])) for film in data["films"])
        size = (int(data["films"][0]["size"][0]), int(data["films"][0]["size"][1]))
        expected = np.array([[float(film["logits"][name]) for name in classifier.labels] for film in data["films"]])
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return SelfTest(False, None, 0, "its golden outputs cannot be read, or are for other findings")
    exact = _exact(classifier)
    largest = float(np.abs(_logits(exact, films, size) - expected).max())
    fast = None
    if classifier.dtype is not exact.dtype or classifier.device != exact.device:
        fast = float(np.abs(_logits(classifier, films, size) - expected).max())
    allowed = FAST_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    result = f"logits on {len(films)} phantoms differ by at most {largest:.2g} from those it was made with"
    if fast is not None:
        result += f", and by {fast:.2g} as this machine computes ({str(classifier.dtype).removeprefix('torch.')})"
    passed = largest <= TOLERANCE and (fast is None or fast <= allowed)
    if not passed:
        result += f"; {TOLERANCE:g} and {allowed:.2g} are allowed"
    return SelfTest(passed, largest, len(films), result, fast)


def _exact(classifier: Classifier) -> Classifier:
    """The same classifier in float32 on a CPU."""
    import torch

    from cxrcore.models.classifier import Classifier

    return Classifier(copy.deepcopy(classifier.network), classifier.config, None, "cpu", torch.float32)


def _logits(
    classifier: Classifier, films: tuple[tuple[int, tuple[str, ...]], ...], size: tuple[int, int]
) -> np.ndarray:
    """Logits of the films, float (N, C), computed one film at a time."""
    prepared = [classifier.prepare(draw_phantom(seed, findings, size).film) for seed, findings in films]
    return np.concatenate([classifier.score([film])[0] for film in prepared])


def _together(tests: list[tuple[str, SelfTest]]) -> SelfTest:
    """The worst of several results: failed if one failed, else unknown if one is unknown."""
    verdicts = [test.passed for _, test in tests]
    passed = False if False in verdicts else None if None in verdicts else True
    largest = [test.largest_difference for _, test in tests if test.largest_difference is not None]
    fast = [test.fast_difference for _, test in tests if test.fast_difference is not None]
    why = "; ".join(f"{name}: {test.why}" for name, test in tests)
    films = max(test.films for _, test in tests)
    return SelfTest(passed, max(largest, default=None), films, why, max(fast, default=None))
