"""What a training run is told: typed sections, checked together, saved with the run.

A recipe (``train/recipes/*.yaml``) changes a few fields of these; ``--set section.key=value`` changes them again.
Every problem of a recipe is reported at once, with what was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import yaml

from cxrcore.errors import CxrError, InvalidRecipe
from cxrcore.findings import LABEL_SETS
from cxrcore.preprocessing import Preprocessing
from cxrcore.training.augmentation import Augmentation


@dataclass(frozen=True)
class DataConfig:
    """Which films, and who is held out."""

    dataset: str = "kermany"
    labels: str = "pneumonia2"  # a label set of cxrcore.findings
    val_fraction: float = 0.1  # of patients, for calibration, operating points and the choice of weights
    test_fraction: float = 0.1  # of patients, scored once at the end; unused where the source has a test split
    limit: int = 0  # at most this many films, whole patients first; 0: all


@dataclass(frozen=True)
class ModelConfig:
    """Which network."""

    architecture: str = "resnet18"  # a timm name
    dropout: float = 0.0  # before the linear head


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW (Loshchilov 2019, arXiv:1711.05101) under one cycle (Smith 2018, arXiv:1708.07120)."""

    epochs: int = 16
    batch_size: int = 64
    lr: float = 2e-3  # the peak
    weight_decay: float = 0.05
    warmup: float = 0.2  # share of steps spent rising to the peak
    clip: float = 1.0  # largest norm of the gradient; 0: unclipped
    ema: float = 0.0  # decay a step of the averaged weights that are kept; 0: the last weights are kept


@dataclass(frozen=True)
class LossConfig:
    """Cross-entropy, with what softens and balances it."""

    label_smoothing: float = 0.0
    class_weights: bool = False  # weigh classes by inverse frequency in the training films
    mixup: float = 0.0  # alpha of Beta(alpha, alpha); 0: off (Zhang 2018, arXiv:1710.09412)


@dataclass(frozen=True)
class Recipe:
    """One training run, whole. ``seed`` decides the split, the weights, the order and the augmentation."""

    name: str
    reproduces: str  # one line: what this recipe stands for
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)

    def to_dict(self) -> dict:
        """As saved in a run's recipe.yaml; ``from_dict`` reads it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict, overrides: Sequence[str] = ()) -> Recipe:
        """Build a recipe from nested keys and ``section.key=value`` overrides.

        Raises InvalidRecipe with every unknown key, wrong type and impossible value at once.
        """
        problems: list[str] = []
        merged = _merge_overrides(data, overrides, problems)
        values = _typed(cls, merged, "", problems)
        if not problems:
            try:
                recipe = cls(**values)
            except TypeError:
                problems.append("a recipe needs 'name' and 'reproduces'")
            else:
                problems = recipe._impossible()
                if not problems:
                    return recipe
        raise InvalidRecipe("the recipe has problems: " + "; ".join(problems))

    def _impossible(self) -> list[str]:
        o, d, m = self.optimizer, self.data, self.model
        checks = {
            f"data.labels is {d.labels!r}, one of: {', '.join(LABEL_SETS)}": d.labels in LABEL_SETS,
            "data.val_fraction and data.test_fraction must be positive and leave films to learn from": (
                d.val_fraction > 0 and d.test_fraction > 0 and d.val_fraction + d.test_fraction < 0.9
            ),
            "data.limit must be 0 or more": d.limit >= 0,
            "model.dropout must lie in [0, 1)": 0 <= m.dropout < 1,
            "optimizer.epochs and optimizer.batch_size must be at least 1": min(o.epochs, o.batch_size) >= 1,
            "optimizer.lr must be positive": o.lr > 0,
            "optimizer.weight_decay and optimizer.clip must be 0 or more": min(o.weight_decay, o.clip) >= 0,
            "optimizer.warmup must lie in (0, 1)": 0 < o.warmup < 1,
            "optimizer.ema must lie in [0, 1)": 0 <= o.ema < 1,
            "loss.label_smoothing must lie in [0, 1)": 0 <= self.loss.label_smoothing < 1,
            "loss.mixup must be 0 or more": self.loss.mixup >= 0,
        }
        return [problem for problem, fine in checks.items() if not fine]


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe file with overrides applied. Raises InvalidRecipe."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise InvalidRecipe(f"{path.name} is not a readable YAML file") from None
    if not isinstance(data, dict):
        raise InvalidRecipe(f"{path.name} holds no recipe: expected keys such as name, data, optimizer")
    return Recipe.from_dict(data, overrides)


def _merge_overrides(data: dict, overrides: Sequence[str], problems: list[str]) -> dict:
    merged = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for override in overrides:
        dotted, equals, text = override.partition("=")
        *sections, key = dotted.strip().split(".")
        if not equals or not key or len(sections) > 1:
            problems.append(f"{override!r} should read section.key=value, e.g. optimizer.lr=3e-4")
            continue
        target = merged.setdefault(sections[0], {}) if sections else merged
        if not isinstance(target, dict):
            problems.append(f"{sections[0]!r} is no section")
            continue
        try:
            target[key] = yaml.safe_load(text)
        except yaml.YAMLError:
            problems.append(f"the value in {override!r} is not readable")
    return merged


def _typed(cls: type, data: dict, prefix: str, problems: list[str]) -> dict[str, Any]:
    hints = get_type_hints(cls)
    known = {f.name for f in fields(cls)}
    values: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            meant = f", did you mean {prefix + close[0]!r}?" if close else f"; there are: {', '.join(sorted(known))}"
            problems.append(f"unknown key {prefix + str(key)!r}{meant}")
        elif is_dataclass(hints[key]):
            values[key] = _section(hints[key], key, value, problems)
        else:
            values[key] = _scalar(hints[key], prefix + key, value, problems)
    return values


def _section(cls: type, key: str, value: object, problems: list[str]) -> object:
    if not isinstance(value, dict):
        problems.append(f"{key!r} is a section with keys, got {value!r}")
        return None
    before = len(problems)
    values = _typed(cls, value, key + ".", problems)
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except (CxrError, ValueError) as error:
        problems.append(f"{key}: {error}")
        return None


def _scalar(hint: object, dotted: str, value: object, problems: list[str]) -> object:
    if hint is float and isinstance(value, str):  # YAML reads 3e-4 as text
        with suppress(ValueError):
            value = float(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    expected = hint if isinstance(hint, type) else str
    if not isinstance(value, expected) or (expected is not bool and isinstance(value, bool)):
        problems.append(f"{dotted} expects {expected.__name__}, got {value!r}")
    return value
