"""The gate itself: two small networks, on the model's own features and on the film at 28 x 28 points.

It costs no forward pass: the features are of stages that the prediction went through. They tell a chest from other
things, of kinds that were not learned too; the small film tells how it lies, and does so for other hospitals as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cxrcore.errors import InvalidBundle
from cxrcore.gate.reasons import Verdict, decided
from cxrcore.storage import write_bytes

SIDE = 28  # points of the small film, a side
VIEW_ANSWERS = ("upright", "left", "down", "right", "inverted", "mirrored", "cropped")  # logits of the view network
TURNS = slice(0, 4)  # of them, a softmax: quarter turns, counter-clockwise, that the film was given
INVERTED, MIRRORED, CROPPED = 4, 5, 6
# A film is looked at turned by k, and its mirror image turned by k: how one that lies turned by j = 0 to 3 lies there.
_TURNS_OF_LOOKS = [[(k + sign * j) % 4 for j in range(4)] for sign in (1, -1) for k in range(4)]
SHAPES = {  # by tensor: K features, P, Q and R components, H and G hidden units
    "feature_mean": "K",
    "feature_axes": "KP",
    "own_mean": "P",
    "own_axes": "PR",
    "chest_hidden_weight": "PH",
    "chest_hidden_bias": "H",
    "chest_answer_weight": "HO",
    "chest_answer_bias": "O",
    "small_mean": "S",
    "small_axes": "SQ",
    "view_hidden_weight": "QG",
    "view_hidden_bias": "G",
    "view_answer_weight": "GA",
    "view_answer_bias": "A",
    "thresholds": "T",
}
LENIENCE = (
    3.0  # logits below the border of a chest, within which a picture may also be a film that is turned or inverted
)
# ``spoilt`` is the one for a chest in films that are turned or inverted, whose features are others.
THRESHOLDS = ("chest", "spoilt", "turned", "inverted", "mirrored", "cropped", "distance")


def small_film(prepared: np.ndarray) -> np.ndarray:
    """A film at the network's size, float32 (h, w) in [0, 1], as (SIDE * SIDE,) points of mean 0 and deviation 1."""
    points = np.asarray(Image.fromarray(prepared).resize((SIDE, SIDE), Image.Resampling.BOX), np.float32).ravel()
    small: np.ndarray = (points - points.mean()) / max(float(points.std()), 1e-3)
    return small


@dataclass(frozen=True)
class InputGate:
    """A fitted gate (``fitting.fit_gate``)."""

    tensors: dict[str, np.ndarray]  # float32, by the names of SHAPES

    @classmethod
    def read(cls, path: Path) -> InputGate:
        """Raises InvalidBundle where the file is damaged or its tensors do not fit together."""
        from safetensors.numpy import load_file

        try:
            tensors = {name: tensor.astype(np.float32) for name, tensor in load_file(path).items()}
        except Exception as error:
            raise InvalidBundle(f"{path.name} is damaged: {error}") from None
        known = {"S": SIDE * SIDE, "A": len(VIEW_ANSWERS), "O": 1, "T": len(THRESHOLDS)}
        for name, letters in SHAPES.items():
            shape = tensors[name].shape if name in tensors else ()
            fits = len(shape) == len(letters) and all(
                known.setdefault(letter, size) == size for letter, size in zip(letters, shape, strict=True)
            )
            if not fits or not np.isfinite(tensors[name]).all():
                raise InvalidBundle(f"{path.name} does not fit together: {name} is missing, misshaped or not finite")
        return cls(tensors)

    def write(self, path: Path) -> None:
        """Write the tensors as float16, atomically."""
        from safetensors.numpy import save

        write_bytes(path, save({name: np.ascontiguousarray(t, np.float16) for name, t in self.tensors.items()}))

    @property
    def features(self) -> int:
        """How many features it expects of the model."""
        return len(self.tensors["feature_mean"])

    def answers(self, features: np.ndarray, small: np.ndarray) -> Answers:
        """What the networks say of N films: ``features`` is (N, K), ``small`` (N, SIDE * SIDE), of ``small_film``."""
        whitened = (features - self.tensors["feature_mean"]) @ self.tensors["feature_axes"]
        return Answers(
            chest=self._network("chest", whitened)[:, 0],
            views=self._views(small),
            distance=np.sqrt(np.mean(((whitened - self.tensors["own_mean"]) @ self.tensors["own_axes"]) ** 2, axis=1)),
        )

    def _views(self, small: np.ndarray) -> np.ndarray:
        """Logits of VIEW_ANSWERS, float (N, 7): of turns and inversion, means over the film in eight positions.

        A film that lies turned by j lies turned by k + j when it is turned by k, and its mirror image by k - j.
        """
        films = small.reshape(-1, SIDE, SIDE)
        looks = [np.rot90(side, k, (1, 2)) for side in (films, films[:, :, ::-1]) for k in range(4)]
        points = (np.stack(looks).reshape(-1, SIDE * SIDE) - self.tensors["small_mean"]) @ self.tensors["small_axes"]
        logits = self._network("view", points).reshape(len(looks), len(films), len(VIEW_ANSWERS))
        views: np.ndarray = logits[0].copy()
        views[:, TURNS] = np.mean([look[:, turns] for look, turns in zip(logits, _TURNS_OF_LOOKS, strict=True)], axis=0)
        views[:, INVERTED] = logits[..., INVERTED].mean(axis=0)
        return views

    def _network(self, name: str, inputs: np.ndarray) -> np.ndarray:
        weight, bias, answer, answer_bias = (
            self.tensors[f"{name}_{part}"] for part in ("hidden_weight", "hidden_bias", "answer_weight", "answer_bias")
        )
        logits: np.ndarray = np.maximum(np.clip(inputs, -8, 8) @ weight + bias, 0) @ answer + answer_bias
        return logits

    def judge(self, features: np.ndarray, small: np.ndarray, told: Sequence[set[str]]) -> list[Verdict]:
        """A verdict a film. told: what each file alone tells (``reasons_of``)."""
        answers = self.answers(features, small)
        at = dict(zip(THRESHOLDS, self.tensors["thresholds"].tolist(), strict=True))
        turned, inverted = answers.turned > at["turned"], answers.views[:, INVERTED] > at["inverted"]
        spoilt = turned | inverted
        border = np.where(spoilt, min(at["spoilt"], at["chest"]), at["chest"])
        blank = np.array(["NOT_A_CHEST_XRAY" in codes for codes in told])
        no_chest = blank | (answers.chest < border)
        nothing = blank | (answers.chest < border - LENIENCE)
        found = {  # of what is no chest, and of a film that lies wrong, the other remarks say nothing
            "NOT_A_CHEST_XRAY": no_chest,
            "ROTATED": turned & ~nothing,
            "INVERTED": inverted & ~nothing,
            "MIRRORED": (answers.views[:, MIRRORED] > at["mirrored"]) & ~(no_chest | spoilt),
            "CROPPED": (answers.views[:, CROPPED] > at["cropped"]) & ~(no_chest | spoilt),
            "FAR_FROM_TRAINING": (answers.distance > at["distance"]) & ~(no_chest | spoilt),
        }
        return [
            decided(
                told[n] | {code for code, true in found.items() if true[n]},
                turn=-int(turn) % 4,
                invert=bool(inverted[n]),
            )
            for n, turn in enumerate(answers.views[:, TURNS].argmax(axis=1))
        ]


@dataclass(frozen=True)
class Answers:
    """What a gate's networks say of N films."""

    chest: np.ndarray  # float (N,): logit of a front view of a chest
    views: np.ndarray  # float (N, 7): logits of VIEW_ANSWERS
    # Mahalanobis' from the model's own films, over the leading principal components of the features, per square root of
    # their number (Lee 2018, arXiv:1807.03888), float (N,): near 1 for a film of those hospitals
    distance: np.ndarray

    @property
    def turned(self) -> np.ndarray:
        """By how much a turn is likelier than none, in logits (N,)."""
        turns = self.views[:, TURNS]
        turned: np.ndarray = turns[:, 1:].max(axis=1) - turns[:, 0]
        return turned
