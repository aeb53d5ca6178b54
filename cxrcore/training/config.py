"""The options of a training run: typed sections, checked together, saved with the run.

A recipe (``train/recipes/*.yaml``) sets the fields that differ from the defaults here; ``--set section.key=value``
overrides it. All problems of a recipe are reported at once, with the key that was probably meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from cxrcore.errors import CxrError, InvalidPredictions, InvalidRecipe
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import LABEL_SETS, Kind, label_set
from cxrcore.metrics.operating_points import parse_rule
from cxrcore.training.augmentation import Augmentation

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class DataConfig:
    """Which films, and which patients are held out."""

    dataset: str = "kermany"
    labels: str = "pneumonia2"  # a label set of cxrcore.findings
    folders: tuple[str, ...] = ()  # nih: copies of the films to read as one set, the preferred first; (): the fullest
    official_split: bool = True  # keep the source's own test list where it has one; false: carve everything by patient
    val_fraction: float = 0.1  # of patients: for calibration, operating points and the best epoch
    test_fraction: float = 0.1  # of patients: scored once at the end; unused where the source's own list is kept
    split_seed: int = -1  # decides which patients are held out; -1: the recipe's seed
    limit: int = 0  # at most this many films, by whole patients; 0: all
    leave_out: tuple[str, ...] = ()  # sources whose films are all test, so that the model never saw their hospital
    training_statistics: bool = False  # measure preprocessing.mean and .std on the training films
    note: str = ""  # what the model card must say about these films


@dataclass(frozen=True)
class ModelConfig:
    """Which network, and its initial weights."""

    architecture: str = "resnet18"  # a timm name
    head: Literal["linear", "batchnorm"] = (
        "linear"  # batchnorm: batch norm, dropout, linear; folded into one linear layer at the end
    )
    dropout: float = 0.0  # before the linear head
    weights: str = (
        "scratch"  # or "imagenet" (from the Hub or a package), a bundle's name or folder, a .safetensors file
    )
    frozen_epochs: int = 0  # epochs in which only the head learns
    test_time_augmentation: Literal["none", "flip"] = "none"  # flip: average over the film and its mirror image
    operating_point: str = "youden"  # rule of the thresholds on validation films: youden, best_f1, sensitivity=.95,
    # specificity=.9, cost=5; unused where there are three or more exclusive classes and no operating_class
    operating_class: str = ""  # of three or more exclusive classes the one that wins with operating_point's specificity
    unfreeze_every: int = 0  # then epochs between unfreezing one more stage, last first; 0: all at once


@dataclass(frozen=True)
class OptimizerConfig:
    """Adam (Kingma 2015, arXiv:1412.6980) or AdamW (Loshchilov 2019, arXiv:1711.05101), and the learning rate."""

    name: Literal["adamw", "adam"] = "adamw"
    epochs: int = 16
    small_epochs: int = 0  # the first epochs, on films reduced to small_side (Tan 2021, arXiv:2104.00298)
    small_side: int = 160  # pixels; height of those films, the width in proportion
    batch_size: int = 64  # films in a step, over all processes
    accumulate: int = 1  # parts that a batch is computed in, to save memory; the gradient is that of the whole
    lr: float = 2e-3  # the peak
    weight_decay: float = 0.05
    schedule: Literal["one_cycle", "cosine_restarts", "plateau", "constant"] = "one_cycle"
    warmup: float = 0.2  # one_cycle: share of steps before the peak (Smith 2018, arXiv:1708.07120)
    restart_epochs: int = 10  # cosine_restarts: length of the first cycle (Loshchilov 2017, arXiv:1608.03983)
    restart_factor: int = 2  # cosine_restarts: length of a cycle relative to the one before
    plateau_factor: float = 0.1  # plateau: factor of each cut
    plateau_patience: int = 2  # plateau: epochs without a better keep.metric before a cut
    clip: float = 1.0  # largest norm of the gradient; 0: unclipped
    ema: float = 0.0  # decay per step of the moving average that is scored and stored; 0: no average
    precision: Precision = "auto"  # auto: the faster of fp32 and bf16, measured on a CPU; fp16 needs a GPU


@dataclass(frozen=True)
class LossConfig:
    """The loss; unknown labels give no gradient."""

    name: Literal["auto", "cross_entropy", "bce", "focal"] = (
        "auto"  # auto: cross_entropy for exclusive classes, bce for findings
    )
    class_weights: bool = False  # by inverse frequency; of findings: positives by the share of negatives and v.v.
    weights: tuple[float, ...] = ()  # of exclusive classes, in label order, instead of class_weights
    focal_gamma: float = 2.0  # focal: (Lin 2017, arXiv:1708.02002)
    label_smoothing: float = 0.0
    mixup: float = 0.0  # alpha of Beta(alpha, alpha); 0: off (Zhang 2018, arXiv:1710.09412)
    teacher: str = ""  # a model or ensemble of the same split, whose answers are mixed into the targets
    teacher_weight: float = 0.7  # the share of the teacher's answer in them (Hinton 2015, arXiv:1503.02531)


@dataclass(frozen=True)
class KeepConfig:
    """Which weights are stored, when a run stops early, and how often checkpoints are saved."""

    weights: Literal["last", "best"] = "last"
    metric: Literal["val_auroc", "val_loss"] = "val_auroc"  # what best, plateau and patience go by
    patience: int = 0  # epochs without a better metric before the run stops; 0: never
    checkpoint_minutes: float = 10.0  # between checkpoints within an epoch; each epoch ends with one


@dataclass(frozen=True)
class Recipe:
    """One training run. ``seed`` determines initial weights, order of films, augmentation, by default the split."""

    name: str
    reproduces: str  # one line: the published system or the aim
    seed: int = 0
    data: DataConfig = field(default_factory=DataConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    augmentation: Augmentation = field(default_factory=Augmentation)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    keep: KeepConfig = field(default_factory=KeepConfig)

    def to_dict(self) -> dict[str, Any]:
        """The content of a run's recipe.yaml; ``from_dict`` reads it back."""
        data = asdict(self)
        data["loss"]["weights"] = list(self.loss.weights)
        data["data"] |= {key: list(getattr(self.data, key)) for key in ("folders", "leave_out")}
        return data

    @property
    def kind(self) -> Kind:
        """Whether classes are exclusive (multiclass) or findings independent (multilabel)."""
        return label_set(self.data.labels).kind

    @property
    def split_seed(self) -> int:
        """The seed of the split, so that runs with other seeds may hold out the same patients."""
        return self.seed if self.data.split_seed == -1 else self.data.split_seed

    @property
    def loss_name(self) -> str:
        """The loss, with ``auto`` resolved by the kind of labels."""
        if self.loss.name != "auto":
            return self.loss.name
        return "cross_entropy" if self.kind is Kind.MULTICLASS else "bce"

    @classmethod
    def from_dict(cls, data: dict[str, Any], overrides: Sequence[str] = ()) -> Recipe:
        """A recipe from nested keys and ``section.key=value`` overrides.

        Raises InvalidRecipe with every unknown key, wrong type and impossible value at once.
        """
        problems: list[str] = []
        merged = _merge_overrides(data, overrides, problems)
        recipe: Recipe | None = _build(cls, merged, "", problems)
        if recipe is not None:
            problems = recipe._impossible_values()
            if not problems:
                return recipe
        raise InvalidRecipe("the recipe has problems: " + "; ".join(problems))

    def _impossible_values(self) -> list[str]:
        o, d, m, loss = self.optimizer, self.data, self.model, self.loss
        checks = {
            f"data.labels is {d.labels!r}, one of: {', '.join(LABEL_SETS)}": d.labels in LABEL_SETS,
            "data.val_fraction and data.test_fraction must be positive and leave films to learn from": (
                d.val_fraction > 0 and d.test_fraction > 0 and d.val_fraction + d.test_fraction < 0.9
            ),
            "data.limit must be 0 or more, and data.split_seed -1 or more": d.limit >= 0 and d.split_seed >= -1,
            "optimizer.small_epochs must be 0 or more, and small_side at least 32 and less than preprocessing.height": (
                o.small_epochs == 0 or (o.small_epochs > 0 and 32 <= o.small_side < self.preprocessing.height)
            ),
            "model.dropout must lie in [0, 1)": 0 <= m.dropout < 1,
            "model.frozen_epochs and model.unfreeze_every must be 0 or more": min(m.frozen_epochs, m.unfreeze_every)
            >= 0,
            "model.unfreeze_every needs model.frozen_epochs of at least 1": m.frozen_epochs > 0
            or m.unfreeze_every == 0,
            "optimizer.epochs, .batch_size and .accumulate must be at least 1": (
                min(o.epochs, o.batch_size, o.accumulate) >= 1
            ),
            "optimizer.batch_size must be a multiple of optimizer.accumulate": o.batch_size % max(o.accumulate, 1) == 0,
            "optimizer.restart_epochs and .restart_factor must be at least 1": (
                min(o.restart_epochs, o.restart_factor) >= 1
            ),
            "optimizer.plateau_factor must lie in (0, 1) and .plateau_patience be 0 or more": (
                0 < o.plateau_factor < 1 and o.plateau_patience >= 0
            ),
            "optimizer.lr must be positive": o.lr > 0,
            "optimizer.weight_decay and optimizer.clip must be 0 or more": min(o.weight_decay, o.clip) >= 0,
            "optimizer.warmup must lie in (0, 1)": 0 < o.warmup < 1,
            "optimizer.ema must lie in [0, 1)": 0 <= o.ema < 1,
            "loss.label_smoothing must lie in [0, 1)": 0 <= loss.label_smoothing < 1,
            "loss.mixup and loss.focal_gamma must be 0 or more": min(loss.mixup, loss.focal_gamma) >= 0,
            "loss.teacher_weight must lie in (0, 1]": 0 < loss.teacher_weight <= 1,
            "keep.patience must be 0 or more": self.keep.patience >= 0,
            "keep.checkpoint_minutes must be positive": self.keep.checkpoint_minutes > 0,
        }
        if d.labels in LABEL_SETS:
            labels = LABEL_SETS[d.labels]
            exclusive = labels.kind is Kind.MULTICLASS
            clash = "cross_entropy is for exclusive classes, bce and focal are for findings"
            checks[f"loss.name {loss.name} does not go with {d.labels}: {clash}"] = loss.name in (
                ("auto", "cross_entropy") if exclusive else ("auto", "bce", "focal")
            )
            checks[f"loss.weights needs {len(labels)} positive numbers for {d.labels}, and exclusive classes"] = (
                not loss.weights or (exclusive and len(loss.weights) == len(labels) and min(loss.weights) > 0)
            )
            checks["loss.weights and loss.class_weights say the same thing twice"] = not (
                loss.weights and loss.class_weights
            )
            by_specificity = m.operating_point.startswith("specificity=")
            checks["model.operating_class is one of three or more exclusive classes; its rule is specificity=..."] = (
                not m.operating_class
                or (exclusive and not labels.binary and m.operating_class in labels and by_specificity)
            )
        problems = [problem for problem, fine in checks.items() if not fine]
        try:
            parse_rule(m.operating_point)
        except InvalidPredictions as error:
            problems.append(f"model.operating_point: {error}")
        return problems


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """A recipe file with overrides applied. Raises InvalidRecipe."""
    try:
        data = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        raise InvalidRecipe(f"{path.name} is not a readable YAML file") from None
    if not isinstance(data, dict):
        raise InvalidRecipe(f"{path.name} holds no recipe: expected keys such as name, data, optimizer")
    return Recipe.from_dict(data, overrides)


def _merge_overrides(data: dict[str, Any], overrides: Sequence[str], problems: list[str]) -> dict[str, Any]:
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


# Written out rather than left to pydantic: its messages would need as many lines to translate, and it stops at the
# first section whose own check fails.
def _build(cls: Any, data: object, name: str, problems: list[str]) -> Any:
    """A section (``name`` empty: the recipe) from its keys; None, with the problems added, where one is wrong."""
    if not isinstance(data, dict):
        problems.append(f"{name!r} is a section with keys, got {data!r}")
        return None
    before = len(problems) if name else 0
    prefix, hints = name and name + ".", get_type_hints(cls)
    values = {}
    for key, value in data.items():
        if key not in hints:
            close = difflib.get_close_matches(str(key), hints, n=1)
            meant = f", did you mean {prefix + close[0]!r}?" if close else f"; there are: {', '.join(sorted(hints))}"
            problems.append(f"unknown key {prefix + str(key)!r}{meant}")
        elif is_dataclass(hints[key]):
            values[key] = _build(hints[key], value, key, problems)
        else:
            values[key] = _value(hints[key], prefix + key, value, problems)
    if len(problems) > before:
        return None
    try:
        return cls(**values)
    except (CxrError, ValueError) as error:
        problems.append(f"{name}: {error}")
    except TypeError:
        problems.append("a recipe needs 'name' and 'reproduces'")
    return None


def _value(hint: Any, dotted: str, value: Any, problems: list[str]) -> Any:
    if get_origin(hint) is Literal:
        if value not in get_args(hint):
            problems.append(f"{dotted} expects one of {', '.join(map(str, get_args(hint)))}, got {value!r}")
        return value
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            problems.append(f"{dotted} expects a list, got {value!r}")
            return ()
        return tuple(_value(get_args(hint)[0], dotted, item, problems) for item in value)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):  # YAML reads 3e-4 as text
        with suppress(ValueError):
            value = float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        problems.append(f"{dotted} expects {hint.__name__}, got {value!r}")
    return value
