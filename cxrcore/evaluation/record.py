"""The content of ``metrics.json`` as a record; ``to_dict`` and ``from_dict`` are the only code that knows its keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from cxrcore.errors import InvalidPredictions
from cxrcore.evaluation.split_origins import SplitOrigin, split_origin_of
from cxrcore.findings import Kind
from cxrcore.metrics.calibration import BrierParts
from cxrcore.metrics.faithfulness import Faithfulness
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.json_record import JsonRecord
from cxrcore.metrics.localisation import Localisation
from cxrcore.metrics.recalibration import Recalibration
from cxrcore.text import NumberFormat

SCHEMA = 1
METRICS = "metrics.json"
RATES = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1")
NOT_RECORDED = Estimate.undefined("not recorded")
_TERMINAL = NumberFormat(undefined="- (undefined)")
_SHORT = NumberFormat()
_SIGNED = NumberFormat(digits=2, signed=True, undefined="- (undefined)")


class Rate(NamedTuple):
    """A rate at the threshold with its interval; None where undefined, with the reason."""

    value: float | None
    low: float | None
    high: float | None
    why: str | None


@dataclass(frozen=True)
class _Record(JsonRecord):
    """Fields are keys of the JSON object, in its order."""

    _optional: ClassVar[frozenset[str]] = frozenset()  # keys that are left out where the field is None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {k: v for k, v in super().to_dict().items() if v is not None or k not in self._optional}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote; missing keys get the field's default. Raises TypeError or ValueError."""
        names = {part.name for part in fields(cls)}
        return cls(**{name: cls._read(name, value) for name, value in data.items() if name in names})

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        return Estimate.from_dict(value) if name in ("auroc", "auprc") else value


@dataclass(frozen=True)
class AtSensitivity:
    """Specificity at the threshold that reaches a given sensitivity."""

    sensitivity: float
    specificity: Estimate

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON: the estimate beside the sensitivity."""
        return {"sensitivity": self.sensitivity, **self.specificity.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AtSensitivity:
        """Read what ``to_dict`` wrote."""
        return cls(data["sensitivity"], Estimate.from_dict(data))


@dataclass(frozen=True)
class Counts(JsonRecord):
    """Films by truth and decision."""

    tp: int
    fp: int
    fn: int
    tn: int


@dataclass(frozen=True)
class Uncalibrated(JsonRecord):
    """Scores of one finding's probabilities as the network gives them, before calibration."""

    auroc: Estimate
    brier: float | None
    ece: float | None
    ece_expected: float | None  # by chance, of a perfectly calibrated model
    calibration: Recalibration

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Uncalibrated:
        """Read what ``to_dict`` wrote. Raises KeyError where a part is missing."""
        area, line = Estimate.from_dict(data["auroc"]), Recalibration.from_dict(data["calibration"])
        return cls(area, data["brier"], data["ece"], data["ece_expected"], line)


@dataclass(frozen=True, kw_only=True)
class _Rated(_Record):
    """Rates with intervals in keys of their own, and one ``why`` for everything that is null."""

    if TYPE_CHECKING:  # declared below, in the order of the file
        intervals: dict[str, list[float]] | None
        why: str | None

    def rate(self, name: str) -> Rate:
        """``accuracy``, or of a finding any of ``RATES``, with its interval."""
        value: float | None = getattr(self, name)
        low, high = (self.intervals or {}).get(name, (None, None))
        return Rate(value, low, high, self.why_of(name) if value is None else None)

    def why_of(self, name: str) -> str | None:
        """The reason that ``why`` gives for one null; None where it gives none."""
        for part in str(self.why or "").split("; "):
            names, _, reason = part.partition(": ")
            if name in names.split(", "):
                return reason
        return None


@dataclass(frozen=True, kw_only=True)
class FindingMetrics(_Rated):
    """Scores of one finding."""

    _optional = frozenset(("intervals", "interval_methods", "counts", "uncalibrated", "why", "localisation"))

    n_pos: int = 0  # films with the finding
    n_neg: int = 0
    prevalence: float | None = None
    auroc: Estimate = NOT_RECORDED
    auprc: Estimate = NOT_RECORDED
    threshold: float | None = None
    accuracy: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None
    ppv: float | None = None
    npv: float | None = None
    f1: float | None = None
    intervals: dict[str, list[float]] | None = None  # rate -> low, high
    interval_methods: dict[str, str] | None = None
    counts: Counts | None = None
    brier: float | None = None
    brier_parts: BrierParts | None = None
    ece: float | None = None
    ece_expected: float | None = None  # by chance, of a perfectly calibrated model
    calibration: Recalibration | None = None
    uncalibrated: Uncalibrated | None = None  # of one network whose logits are known
    specificity_at_sensitivity: AtSensitivity | None = None
    why: str | None = None
    localisation: Localisation | None = None  # maps against boxes; None of a table, which has no maps

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if value is None:
            return None
        if name == "localisation":
            return Localisation.from_dict(value)
        if name == "counts":
            return Counts(*(value[part.name] for part in fields(Counts)))
        if name == "brier_parts":
            return BrierParts(*(value[part.name] for part in fields(BrierParts)))
        if name == "calibration":
            return Recalibration.from_dict(value)
        if name == "uncalibrated":
            return Uncalibrated.from_dict(value)
        if name == "specificity_at_sensitivity":
            return AtSensitivity.from_dict(value)
        return super()._read(name, value)


@dataclass(frozen=True, kw_only=True)
class MacroMetrics(_Record):
    """Unweighted means over findings."""

    _optional = frozenset(("auroc_findings", "why"))

    auroc: Estimate = NOT_RECORDED
    auroc_findings: list[str] | None = None  # averaged in ``auroc``; None in older files
    f1: float | None = None
    f1_findings: list[str] = field(default_factory=list)
    why: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; the findings stand in ``auroc``."""
        data = super().to_dict()
        if (names := data.pop("auroc_findings", None)) is not None:
            data["auroc"]["findings"] = names
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        return super().from_dict({**data, "auroc_findings": data.get("auroc", {}).get("findings")})


@dataclass(frozen=True, kw_only=True)
class MicroMetrics(_Record):
    """Scores of all films and findings in one ranking."""

    auroc: Estimate = NOT_RECORDED


@dataclass(frozen=True, kw_only=True)
class Metrics(_Rated):
    """Scores of one split: the content of ``metrics.json``."""

    _optional = frozenset(
        (
            *("micro", "intervals", "interval_methods", "why", "operating_points", "split_origin", "tuned_on"),
            *("localisation", "faithfulness"),
        )
    )

    schema: int = SCHEMA
    n: int = 0  # films
    n_patients: int = 0
    dataset: str = ""
    split: str = ""
    model: str = ""
    kind: str = Kind.MULTILABEL.value
    findings: dict[str, FindingMetrics] = field(default_factory=dict)
    macro: MacroMetrics = MacroMetrics()
    micro: MicroMetrics | None = None
    accuracy: float | None = None
    confusion: list[list[int]] | None = None  # of exclusive classes: row true, column decided
    intervals: dict[str, list[float]] | None = None  # of the accuracy
    interval_methods: dict[str, str] | None = None
    brier: float | None = None
    ece: float | None = None
    ece_expected: float | None = None
    why: str | None = None
    operating_points: dict[str, str] | None = None  # rule, and fitted_on
    split_origin: str | None = None  # see ``evaluation.split_origins``
    tuned_on: dict[str, Any] | None = None  # fraction, n and seed of films that chose the thresholds
    localisation: Localisation | None = None  # of all pairs of a film and a finding with a box; None of a table
    faithfulness: Faithfulness | None = None  # of the maps; None of a table
    unknown: dict[str, Any] = field(default_factory=dict, repr=False)  # keys of newer versions, kept when written

    @property
    def origin(self) -> SplitOrigin:
        """Where the split comes from."""
        return split_origin_of(self.split_origin)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON; undefined numbers are null."""
        data = super().to_dict()
        unknown = data.pop("unknown")
        if self.confusion is None and self.kind != Kind.MULTICLASS:
            del data["confusion"]
        return _merged(data, unknown)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote, and what older versions wrote. Raises InvalidPredictions on anything else."""
        try:
            record = super().from_dict({key: value for key, value in data.items() if key != "unknown"})
            return replace(record, unknown=_difference(data, record.to_dict()))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise InvalidPredictions(f"this is no {METRICS} of this project") from None

    @classmethod
    def _read(cls, name: str, value: Any) -> Any:
        if name == "findings":
            return {finding: FindingMetrics.from_dict(scores) for finding, scores in value.items()}
        if name == "macro":
            return MacroMetrics.from_dict(value)
        if name == "micro" and value is not None:
            return MicroMetrics.from_dict(value)
        if name == "localisation" and value is not None:
            return Localisation.from_dict(value)
        if name == "faithfulness" and value is not None:
            return Faithfulness.from_dict(value)
        return value


def read_metrics(path: Path) -> Metrics:
    """The record in a ``metrics.json``. Raises InvalidPredictions where there is none that can be read."""
    try:
        data = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        raise InvalidPredictions(f"{path.name} of {path.parent.name!r} cannot be read") from None
    if not isinstance(data, dict) or not isinstance(data.get("findings"), dict):
        raise InvalidPredictions(f"{path.name} of {path.parent.name!r} is no {METRICS} of this project")
    return Metrics.from_dict(data)


def as_table(metrics: Metrics) -> str:
    """The scores of a split in a few lines for a terminal."""
    width = max(map(len, [*metrics.findings, "mean"]))
    lines = [
        f"{metrics.dataset}, {metrics.split} ({metrics.origin.label}): "
        f"{metrics.n} films of {metrics.n_patients} patients",
        f"{'':{width}}  with  without  AUROC (95 %)          sensitivity  specificity",
    ]
    labelled = {name: scores for name, scores in metrics.findings.items() if scores.n_pos + scores.n_neg}
    for name, scores in labelled.items():
        rates = "".join(f"{_SHORT.number(rate):>13}" for rate in (scores.sensitivity, scores.specificity))
        area = _TERMINAL.estimate(scores.auroc)
        lines.append(f"{name:{width}}  {scores.n_pos:4}  {scores.n_neg:7}  {area:20}{rates}")
    lines.append(f"{'mean':{width}}  {'':4}  {'':7}  {_TERMINAL.estimate(metrics.macro.auroc)}")
    if unlabelled := [name for name in metrics.findings if name not in labelled]:
        lines.append(f"no labels for {', '.join(unlabelled)}")
    if metrics.accuracy is not None:
        lines.append(f"accuracy {metrics.accuracy:.3f}")
    return "\n".join([*lines, *_map_lines(metrics)])


def _map_lines(metrics: Metrics) -> list[str]:
    """What was measured of the maps, in a line each."""
    lines = []
    if (found := metrics.localisation) is not None and found.n:
        hits = _TERMINAL.estimate(found.scores["hit"]), _TERMINAL.estimate((found.control or {}).get("hit"))
        lines.append(f"maps on {found.n} boxes: maximum inside {hits[0]}, of noise {hits[1]}")
    tested = metrics.faithfulness
    if tested is not None and tested.deletion and tested.insertion:
        falls, rises = (_SIGNED.estimate(one.difference) for one in (tested.deletion, tested.insertion))
        lines.append(f"maps on {tested.n} films, against a random order: deletion {falls}, insertion {rises} logits")
    return lines


def _difference(data: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """What ``data`` has and ``known`` has not, at any depth."""
    rest: dict[str, Any] = {}
    for key, value in data.items():
        if key not in known:
            rest[key] = value
        elif isinstance(value, dict) and isinstance(known[key], dict) and (more := _difference(value, known[key])):
            rest[key] = more
    return rest


def _merged(data: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """``data`` with what ``more`` has beyond it, at any depth."""
    for key, value in more.items():
        if isinstance(value, dict) and isinstance(data.get(key), dict):
            _merged(data[key], value)
        else:
            data.setdefault(key, value)
    return data
