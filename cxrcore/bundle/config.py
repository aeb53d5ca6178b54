"""The config.json of a model: timm's keys plus a ``cxrcore`` section, read strictly.

Missing parts are not guessed, and what would reach outside the folder or run code is refused. Only ``build_network``
loads torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from cxrcore.bundle.calibrators import Calibration, Identity, calibration_from_dict
from cxrcore.errors import CxrError, InvalidBundle
from cxrcore.films.preprocessing import Preprocessing
from cxrcore.findings import LabelSet
from cxrcore.metrics.operating_points import OperatingPoints
from cxrcore.metrics.triage import Triage

if TYPE_CHECKING:
    from torch import nn

SCHEMA = 1
TestTimeAugmentation = Literal["none", "flip"]
_OUTSIDE_ARGS = ("checkpoint_path", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
_OUTSIDE_CFG = ("url", "file", "hf_hub_id", "state_dict", "source")


@dataclass(frozen=True)
class BundleConfig:
    """Everything about a model except its weights; screens, the command line and metrics read it."""

    name: str
    architecture: str  # a timm model name
    labels: LabelSet
    preprocessing: Preprocessing
    model_args: dict[str, Any] = field(
        default_factory=dict
    )  # timm.create_model arguments beyond num_classes and in_chans
    calibration: Calibration = field(default_factory=Identity)
    operating_points: OperatingPoints | None = None  # None: three or more classes (the winner), or never fitted
    triage: Triage | None = None  # the limits of three answers; None: never fitted
    evidence_levels: dict[str, float | None] = field(default_factory=dict)  # logits, per finding
    map_ceilings: dict[str, float] = field(
        default_factory=dict
    )  # logits, per finding; the highest is drawn in full colour, unless the film has a stronger place
    test_time_augmentation: TestTimeAugmentation = "none"  # flip: mean over film and mirror image, at twice the time
    guard: dict[str, Any] | None = None  # the input guard, once there is one
    provenance: dict[str, Any] = field(default_factory=dict)  # data, split, recipe, versions, licence: for people

    def to_dict(self) -> dict[str, Any]:
        """The whole of config.json."""
        classes, prep = len(self.labels), self.preprocessing
        points = self.operating_points
        return {
            "architecture": self.architecture,
            "num_classes": classes,
            "model_args": {"in_chans": prep.channels, **self.model_args},
            "pretrained_cfg": {
                "tag": self.name,
                "custom_load": False,
                "input_size": [prep.channels, *prep.size],
                "fixed_input_size": False,
                "interpolation": "bilinear",
                "crop_pct": 1.0,
                "crop_mode": {"squash": "squash", "crop": "center"}.get(prep.geometry, "border"),
                "mean": [prep.mean] * prep.channels,
                "std": [prep.std] * prep.channels,
                "num_classes": classes,
                "label_names": list(self.labels),
                "license": self.provenance.get("license", "apache-2.0"),
            },
            "cxrcore": {
                "schema": SCHEMA,
                "name": self.name,
                "labels": self.labels.to_dict(),
                "preprocessing": prep.to_dict(),
                "calibration": self.calibration.to_dict(),
                "operating_points": None if points is None else points.to_dict(),
                "triage": None if self.triage is None else self.triage.to_dict(),
                "evidence_levels": self.evidence_levels,
                "map_ceilings": self.map_ceilings,
                "test_time_augmentation": self.test_time_augmentation,
                "guard": self.guard,
                "provenance": self.provenance,
            },
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> BundleConfig:
        """Read config.json's content. Raises InvalidBundle naming the part that is missing, unknown or does not fit."""
        section = _section(data)
        refuse_outside(data)
        if section.get("kind") == "ensemble":
            raise InvalidBundle("this folder is an ensemble of several bundles, where a single one is needed")
        try:
            labels = LabelSet.from_dict(section["labels"])
            points = section["operating_points"]
            config = cls(
                name=section["name"],
                architecture=data["architecture"],
                labels=labels,
                preprocessing=Preprocessing.from_dict(section["preprocessing"]),
                model_args={k: v for k, v in data.get("model_args", {}).items() if k != "in_chans"},
                calibration=calibration_from_dict(section["calibration"]),
                operating_points=None if points is None else OperatingPoints.from_dict(points),
                triage=_triage(section),
                evidence_levels=section["evidence_levels"],
                map_ceilings=section.get("map_ceilings", {}),
                test_time_augmentation=section.get("test_time_augmentation", "none"),
                guard=section["guard"],
                provenance=section["provenance"],
            )
        except CxrError as error:
            raise InvalidBundle(f"this bundle's config.json does not fit together: {error}") from None
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidBundle(f"this bundle's config.json is incomplete or malformed: {error}") from None
        config._check(data)
        return config

    def _check(self, data: dict[str, Any]) -> None:
        classes = len(self.labels)
        if data.get("num_classes") != classes:
            raise InvalidBundle(
                f"this bundle's head has {data.get('num_classes')} outputs and its label set "
                f"{self.labels.name!r} has {classes} findings"
            )
        if self.test_time_augmentation not in get_args(TestTimeAugmentation):
            raise InvalidBundle(
                f"this bundle asks for test-time augmentation {self.test_time_augmentation!r}; "
                f"there is {', '.join(get_args(TestTimeAugmentation))}"
            )
        _check_findings(self)

    def build_network(self, drop_rate: float = 0.0) -> nn.Module:
        """The architecture with random weights, and dropout before its head while it trains.

        Raises InvalidBundle when timm does not know it.
        """
        from cxrcore.bundle.architectures import create_network

        try:
            return create_network(
                self.architecture,
                pretrained=False,
                num_classes=len(self.labels),
                in_chans=self.preprocessing.channels,
                drop_rate=drop_rate,
                **self.model_args,
            )
        except (RuntimeError, TypeError) as error:
            raise InvalidBundle(f"timm cannot build {self.architecture!r} for this bundle: {error}") from None


@dataclass(frozen=True)
class EnsembleConfig:
    """The config of a folder of several bundles; everything else stands in each member's own config.

    Calibration, thresholds and evidence levels are of the members' mean, from films that all members validated on.
    Where there are no such films, ``why`` says so: the members' own thresholds were not fitted to their mean.
    """

    name: str
    labels: LabelSet  # of every member, in this order
    members: tuple[str, ...]  # names of folders in ``members/``
    provenance: dict[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Identity)  # of the mean's log-odds (``from_probabilities``)
    operating_points: OperatingPoints | None = None  # None: three or more classes (the winner), or never fitted
    evidence_levels: dict[str, float | None] = field(default_factory=dict)  # logits, per finding
    triage: Triage | None = None  # the limits of three answers; None: never fitted
    why: str = ""  # why nothing was fitted

    def to_dict(self) -> dict[str, Any]:
        """The whole of config.json."""
        section = {
            "schema": SCHEMA,
            "kind": "ensemble",
            "name": self.name,
            "labels": self.labels.to_dict(),
            "members": list(self.members),
            "calibration": self.calibration.to_dict(),
            "operating_points": None if self.operating_points is None else self.operating_points.to_dict(),
            "evidence_levels": self.evidence_levels,
            "triage": None if self.triage is None else self.triage.to_dict(),
            "why": self.why or None,
            "provenance": self.provenance,
        }
        return {"cxrcore": section}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EnsembleConfig:
        """Read config.json's content. Raises InvalidBundle; a member's name that leaves the folder is refused."""
        section = _section(data)
        try:
            points = section["operating_points"]
            config = cls(
                str(section["name"]),
                LabelSet.from_dict(section["labels"]),
                tuple(str(member) for member in section["members"]),
                dict(section["provenance"]),
                calibration_from_dict(section["calibration"]),
                None if points is None else OperatingPoints.from_dict(points),
                dict(section["evidence_levels"]),
                _triage(section),
                str(section["why"] or ""),
            )
        except CxrError as error:
            raise InvalidBundle(f"this ensemble's config.json does not fit together: {error}") from None
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidBundle(f"this ensemble's config.json is incomplete or malformed: {error}") from None
        _check_findings(config)
        if len(config.members) < 2 or any(member != Path(member).name or "\\" in member for member in config.members):
            raise InvalidBundle("this ensemble's config.json must name two or more folders in its members folder")
        return config


def _check_findings(config: BundleConfig | EnsembleConfig) -> None:
    points = config.operating_points
    if points is not None and tuple(points.findings) != config.labels.names:
        raise InvalidBundle("this bundle's operating points are not for its own findings, in their order")
    if config.triage is not None and tuple(config.triage.present) != config.labels.names:
        raise InvalidBundle("this bundle's limits of three answers are not for its own findings, in their order")
    strangers = set(config.evidence_levels) - set(config.labels)
    if strangers:
        raise InvalidBundle(f"this bundle has evidence levels for unknown findings: {', '.join(sorted(strangers))}")


def _triage(section: dict[str, Any]) -> Triage | None:
    stored = section.get("triage")  # bundles made before there were three answers have none
    return None if stored is None else Triage.from_dict(stored)


def _section(data: dict[str, Any]) -> dict[str, Any]:
    """The ``cxrcore`` section. Raises InvalidBundle where it is missing or of another schema."""
    section = data.get("cxrcore")
    if not isinstance(section, dict):
        raise InvalidBundle("this folder's config.json has no cxrcore section, so its labels and scales are unknown")
    if section.get("schema") != SCHEMA:
        raise InvalidBundle(
            f"this bundle has schema version {section.get('schema')!r} and this program reads {SCHEMA}; "
            "update the program, or export the bundle again"
        )
    return section


def refuse_outside(data: dict[str, Any]) -> None:
    """Raise InvalidBundle for a config that would fetch, read or run something beside the folder's own weights."""
    cfg, extra = data.get("pretrained_cfg") or {}, data.get("model_args") or {}
    if not isinstance(cfg, dict) or not isinstance(extra, dict):
        raise InvalidBundle("this bundle's config.json is incomplete or malformed: its parts are no objects")
    if data.get("auto_map") or cfg.get("custom_load"):
        raise InvalidBundle("this bundle's config.json asks for code of its own to be run, which is refused")
    outside = [f"model_args.{key}" for key in _OUTSIDE_ARGS if key in extra]
    outside += [f"pretrained_cfg.{key}" for key in _OUTSIDE_CFG if cfg.get(key)]
    if not re.fullmatch(r"\w[\w.]*", str(data.get("architecture", "unknown"))):
        outside.append("architecture")
    if outside:
        raise InvalidBundle(
            f"this bundle's config.json points outside its folder ({', '.join(outside)}), so it is refused"
        )
