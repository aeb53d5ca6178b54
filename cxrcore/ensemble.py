"""Several models that answer as one: the mean of their calibrated probabilities, and of their maps.

Members must speak of the same findings in the same order; architecture and preprocessing may differ, so each member
prepares a film its own way. Averaging calibrated members lowers the variance of what they say (Lakshminarayanan 2017,
arXiv:1612.01474) at the price of every member's time.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cxrcore.bundle import (
    MEMBERS,
    EnsembleConfig,
    export_bundle,
    find_bundle,
    is_ensemble,
    model_id,
    read_config,
    read_metrics,
    weights_digest,
    write_config,
)
from cxrcore.errors import CxrError, InvalidBundle, LabelMismatch
from cxrcore.explain.heatmap import Heatmap
from cxrcore.explain.random_map import random_map
from cxrcore.findings import LabelSet
from cxrcore.hub_access import origin
from cxrcore.images import Radiograph
from cxrcore.model import Analysis, Model
from cxrcore.preprocessing import Preprocessing

if TYPE_CHECKING:
    from cxrcore.classifier import Classifier


class Ensemble(Model):
    """Several classifiers behind one. Raises InvalidBundle where one speaks of other findings than the config says."""

    def __init__(self, members: Sequence[Classifier], config: EnsembleConfig, folder: Path | None = None) -> None:
        for member in members:
            if difference := label_difference(config.labels, member.labels):
                raise InvalidBundle(f"member {member.name!r} does not fit ensemble {config.name!r}: {difference}")
        self.members = tuple(members)
        self.config = config
        self.folder = folder
        self.name = config.name
        self.labels = config.labels
        self.operating_points = None
        self.passes = sum(member.passes for member in members)

    @cached_property
    def id(self) -> str:
        """Name and digest of the members' weights."""
        return model_id(self.name, self.folder)

    @cached_property
    def info(self) -> dict:
        """As a single model's, with each member's own in ``members``."""
        members = [member.info for member in self.members]
        return {
            "name": self.name,
            "id": self.id,
            "hub": origin(self.folder),
            "architecture": " + ".join(info["architecture"] for info in members),
            "labels": self.labels.to_dict(),
            "input_size": None,  # each member has its own
            "test_time_augmentation": None,
            "members": members,
            "provenance": self.config.provenance,
            "metrics": read_metrics(self.folder) if self.folder else [],
        }

    def prepare(self, film: Radiograph) -> tuple[np.ndarray, ...]:
        """The film at each member's size, float32 (h, w) in [0, 1]."""
        return tuple(member.prepare(film) for member in self.members)

    def score(self, prepared: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, np.ndarray]:
        """The members' mean logits and mean calibrated probabilities, both (N, C)."""
        scores = [member.score(films) for member, films in zip(self.members, zip(*prepared, strict=True), strict=True)]
        return np.mean([logits for logits, _ in scores], axis=0), np.mean([shares for _, shares in scores], axis=0)

    def explain_all(
        self, film: Radiograph, method: str = "gradcam", findings: Sequence[str] | None = None
    ) -> dict[str, Heatmap]:
        """The members' mean map of every finding (or those asked for), by one method."""
        return self._average([member.explain_all(film, method, findings) for member in self.members], film)

    def analyse(self, film: Radiograph) -> Analysis:
        """The members' mean probabilities and maps, from one pass through each where its head allows it."""
        answers = [member.analyse(film) for member in self.members]

        def mean(field: str) -> np.ndarray:
            return np.mean([list(getattr(answer.prediction, field).values()) for answer in answers], axis=0)[None]

        prediction = self.predictions(mean("logits"), mean("probabilities"), [film.warnings])[0]
        return Analysis(prediction, self._average([answer.heatmaps for answer in answers], film))

    def _average(self, maps: Sequence[dict[str, Heatmap]], film: Radiograph) -> dict[str, Heatmap]:
        return {finding: mean_heatmap([found[finding] for found in maps], film) for finding in maps[0]}


def mean_heatmap(heatmaps: Sequence[Heatmap], film: Radiograph) -> Heatmap:
    """One map of several of the same finding and film, on the finest of their grids, laid over the film itself.

    On the logit scale the mean of the result plus its bias is the mean of the members' targets: resampling keeps each
    mean, and what a member took from the black bars beside a letterboxed film lies nowhere on it, so it joins the bias.
    Its colour scale ends at the mean of theirs, which the mean of maps within their scales cannot leave. Maps without
    that scale, of which one is enough, are first brought to a maximum of 1 each.
    """
    first = heatmaps[0]
    rows, columns = (max(heat.signed.shape[axis] for heat in heatmaps) for axis in (0, 1))
    height, width = (max(getattr(heat.preprocessing, side) for heat in heatmaps) for side in ("height", "width"))
    frame = Preprocessing(height, width, geometry="squash")  # the film and nothing beside it
    common = replace(first, preprocessing=frame, scale=None, bias=None, evidence_level=None, ceiling=None)
    if first.method == "random":
        return replace(common, signed=random_map((rows, columns), film.pixels, first.finding))
    moved = [to_film_frame(heat, (rows, columns)) for heat in heatmaps]
    biases = [heat.bias for heat in heatmaps if heat.bias is not None]
    if len(biases) < len(heatmaps):
        moved = [values / max(float(np.abs(values).max()), 1e-6) for values in moved]
        return replace(common, signed=np.mean(moved, axis=0).astype(np.float32))
    beside = [heat.signed.mean(dtype=np.float64) - values.mean() for heat, values in zip(heatmaps, moved, strict=True)]
    ceilings = [heat.ceiling for heat in heatmaps if heat.ceiling is not None]
    return replace(
        common,
        signed=np.mean(moved, axis=0).astype(np.float32),
        scale="logit",
        bias=float(np.mean(biases) + np.mean(beside)),
        ceiling=float(np.mean(ceilings)) if len(ceilings) == len(heatmaps) else None,
    )


def to_film_frame(heat: Heatmap, shape: tuple[int, int]) -> np.ndarray:
    """A map's values on a grid of ``shape`` that covers exactly the film, float64; they sum to what lay on the film.

    Every value is the mean of the bilinear interpolant (edges held) over its cell. That interpolant gives each cell of
    the old grid the same weight in all, so the mean over the whole is kept to rounding, and a flat map stays flat.
    """
    (top, left, height, width), (rows, columns) = heat.preprocessing.film_area(heat.film_size), heat.preprocessing.size
    down = cell_means(heat.signed.shape[0], shape[0], top / rows, height / rows)
    across = cell_means(heat.signed.shape[1], shape[1], left / columns, width / columns)
    share = (height / rows) * (width / columns)  # of the network's input that is film
    return share * (down @ heat.signed.astype(np.float64) @ across.T)


def cell_means(cells: int, targets: int, start: float = 0.0, length: float = 1.0) -> np.ndarray:
    """The matrix (targets, cells) from values on a line of ``cells`` to means of their interpolant over equal parts.

    The parts divide the stretch of ``length`` from ``start``, both in shares of the line.
    """
    edges = cells * np.linspace(start, start + length, targets + 1)
    centres = np.arange(cells) + 0.5
    inside = centres[(centres > edges[0]) & (centres < edges[-1])]
    knots = np.union1d(edges, inside)  # between two of these every interpolant is straight
    heights = np.stack([np.interp(knots, centres, row) for row in np.eye(cells)], axis=1)
    areas = (heights[1:] + heights[:-1]) / 2 * np.diff(knots)[:, None]
    part = np.searchsorted(edges, (knots[1:] + knots[:-1]) / 2) - 1
    matrix = np.zeros((targets, cells))
    np.add.at(matrix, part, areas)
    return matrix / np.diff(edges)[:, None]


def label_difference(one: LabelSet, other: LabelSet) -> str:
    """In what two label sets differ that a mean cannot bridge, in words; empty if in nothing."""
    if one.kind != other.kind:
        return f"one is {one.kind} and the other {other.kind}"
    missing, extra = sorted(set(one.names) - set(other.names)), sorted(set(other.names) - set(one.names))
    if missing or extra:
        parts = (("only the first knows", missing), ("only the second knows", extra))
        return "; ".join(f"{who} {', '.join(names)}" for who, names in parts if names)
    if one.names != other.names:
        return f"the findings are in another order: {', '.join(one.names)} against {', '.join(other.names)}"
    return "" if one.normal == other.normal else "they call different findings normal"


def write_ensemble(references: Sequence[str | os.PathLike], out: Path) -> EnsembleConfig:
    """Make ``out`` an ensemble of copies of these bundles, each with what may leave the machine (``export_bundle``).

    Raises BundleNotFound, LabelMismatch naming what differs, or CxrError for fewer than two, a repeat, an ensemble of
    ensembles, or a folder that is in use; then nothing is left behind.
    """
    from cxrcore.model_card import illustrate

    if len(references) < 2:
        raise CxrError("an ensemble needs two bundles or more")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")
    folders = [find_bundle(reference) for reference in references]
    for folder in folders:
        if is_ensemble(folder):
            raise CxrError(f"{folder.name!r} is itself an ensemble; name its members instead")
    configs = [read_config(folder) for folder in folders]
    labels = configs[0].labels
    for config in configs[1:]:
        if difference := label_difference(labels, config.labels):
            raise LabelMismatch(f"{configs[0].name!r} and {config.name!r} cannot be averaged: {difference}")
    digests = [weights_digest(folder) for folder in folders]
    for place, digest in enumerate(digests):
        if digest in digests[:place]:
            raise CxrError(f"{configs[place].name!r} is there twice (the same weights); name each bundle once")
    names: list[str] = []
    for folder in folders:
        same = sum(name == folder.name or name.startswith(f"{folder.name}~") for name in names)
        names.append(f"{folder.name}~{same + 1}" if same else folder.name)
    provenance = {
        "members": [
            {"name": config.name, "architecture": config.architecture, "weights": digest}
            for config, digest in zip(configs, digests, strict=True)
        ],
        "synthetic": any(config.provenance.get("synthetic") for config in configs),
        "license": " and ".join(sorted({config.provenance.get("license", "apache-2.0") for config in configs})),
    }
    ensemble = EnsembleConfig(out.name, labels, tuple(names), provenance)
    try:
        for folder, name in zip(folders, names, strict=True):
            export_bundle(folder, out / MEMBERS / name)
            illustrate(out / MEMBERS / name)
        (out / "README.md").write_text(_card(ensemble), "utf-8")
        write_config(out, ensemble)
    except OSError:
        shutil.rmtree(out, ignore_errors=True)
        raise CxrError(f"cannot write into {out.name!r}; choose another --out") from None
    except CxrError:
        shutil.rmtree(out, ignore_errors=True)
        raise
    return ensemble


def _card(config: EnsembleConfig) -> str:
    """The folder's README.md; each member keeps its own beside its weights."""
    origins = config.provenance["members"]
    members = "\n".join(
        f"- [{origin['name']}]({MEMBERS}/{folder}/README.md): {origin['architecture']}, weights {origin['weights']}"
        for folder, origin in zip(config.members, origins, strict=True)
    )
    front = "---\nlibrary_name: timm\npipeline_tag: image-classification\ntags: [chest-x-ray, cxrcore, ensemble]\n---"
    drawn = "\nA member learned from synthetic films: drawings, of nobody.\n"
    synthetic = drawn if config.provenance["synthetic"] else ""
    return f"""{front}

# {config.name}

**For research and teaching only. Not a medical device; never for diagnosis.**
{synthetic}
{len(config.members)} models that answer as one: the mean of their calibrated probabilities, and of their heatmaps. A
film takes about as long as in all of them together.

{members}

No operating point was fitted for the ensemble, so it names no finding positive by a threshold; and it was not scored as
a whole unless `evaluation/` says so. Plain timm opens the members, not this folder.
"""
