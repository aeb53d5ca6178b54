"""The gate itself: a small network on the model's own features and the film at 28 x 28 points.

It costs no forward pass: the pooled features of the last layer are those that the prediction was made from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cxrcore.errors import InvalidBundle
from cxrcore.gate.reasons import Verdict, decided
from cxrcore.storage import write_bytes

SIDE = 28  # points of the small film, a side
ANSWERS = (
    "chest",
    "upright",
    "left",
    "down",
    "right",
    "inverted",
    "mirrored",
    "cropped",
)  # logits of the network, in this order
TURNS = slice(1, 5)  # the four logits of a softmax: quarter turns, counter-clockwise, that the film was given
SHAPES = {  # by tensor: K features, P and Q components, H hidden units
    "feature_mean": "K",
    "feature_axes": "KP",
    "small_mean": "S",
    "small_axes": "SQ",
    "hidden_weight": "RH",
    "hidden_bias": "H",
    "answer_weight": "HA",
    "answer_bias": "A",
    "thresholds": "T",
}
LENIENCE = 3.0  # logits: a film that is turned or inverted is refused for that, unless it is clearly no chest
THRESHOLDS = ("chest", "turned", "inverted", "mirrored", "cropped", "distance")


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
        known = {"S": SIDE * SIDE, "A": len(ANSWERS), "T": len(THRESHOLDS)}
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

    def answers(self, pooled: np.ndarray, small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, len(ANSWERS)), and each film's distance from the training films (N,).

        pooled: (N, K), the mean of the last feature map; small: (N, SIDE * SIDE), of ``small_film``. The distance is
        Mahalanobis', over the leading principal components, per square root of their number (Lee 2018,
        arXiv:1807.03888): near 1 for a training film.
        """
        t = self.tensors
        features = (pooled - t["feature_mean"]) @ t["feature_axes"]
        inputs = np.hstack([features, (small - t["small_mean"]) @ t["small_axes"]])
        hidden = np.maximum(np.clip(inputs, -8, 8) @ t["hidden_weight"] + t["hidden_bias"], 0)
        logits: np.ndarray = hidden @ t["answer_weight"] + t["answer_bias"]
        return logits, np.sqrt(np.mean(features**2, axis=1))

    def judge(self, pooled: np.ndarray, small: np.ndarray, told: Sequence[set[str]]) -> list[Verdict]:
        """A verdict a film. told: what each file alone tells (``reasons_of``)."""
        logits, distances = self.answers(pooled, small)
        thresholds = dict(zip(THRESHOLDS, self.tensors["thresholds"].tolist(), strict=True))
        return [self._verdict(*film, thresholds) for film in zip(logits, distances, told, strict=True)]

    @staticmethod
    def _verdict(logits: np.ndarray, distance: float, told: set[str], thresholds: dict[str, float]) -> Verdict:
        answer: dict[str, Any] = dict(zip(ANSWERS, logits.tolist(), strict=True))
        turns = logits[TURNS]
        turn = int(np.argmax(turns))
        turned = turn > 0 and turns[turn] - turns[0] > thresholds["turned"]
        inverted = answer["inverted"] > thresholds["inverted"]
        found = {
            "NOT_A_CHEST_XRAY": answer["chest"] < thresholds["chest"] - (LENIENCE if turned or inverted else 0),
            "ROTATED": turned,
            "INVERTED": inverted,
            "MIRRORED": not (turned or inverted) and answer["mirrored"] > thresholds["mirrored"],
            "CROPPED": not (turned or inverted) and answer["cropped"] > thresholds["cropped"],
            "FAR_FROM_TRAINING": not (turned or inverted) and distance > thresholds["distance"],
        }
        codes = told | {code for code, true in found.items() if true}
        if "NOT_A_CHEST_XRAY" in codes:
            codes -= {
                "ROTATED",
                "INVERTED",
                "MIRRORED",
                "CROPPED",
                "FAR_FROM_TRAINING",
            }  # of what is no chest they say nothing
        return decided(codes, turn=-turn % 4, invert=inverted)
