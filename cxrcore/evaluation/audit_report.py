"""An audit as sentences and as a table, for the terminal, the dashboard and the model card."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxrcore.errors import InvalidPredictions
from cxrcore.text import NumberFormat

AUDIT = "audit.json"
SCHEMA = 1
NEAR = 0.05  # of AUROC: a baseline this close to the model is named
AREA = NumberFormat(leading_zero=False)


def sentences(data: Mapping[str, Any]) -> list[str]:
    """What stands out in an audit, a plain sentence each: sources first, then each finding's baselines."""
    sources = data["sources"]
    lines = list(sources["notes"])
    for name, row in data["findings"].items():
        if _above(row["baselines"]["source"]["auroc"]) and sources["films"]:
            lines.append(_lopsided(name, sources["films"]))
    lines += _apart_sentences(sources["told_apart"] or ())
    for name, row in data["findings"].items():
        areas = {key: one["auroc"] for key, one in row["baselines"].items()}
        model = row["auroc"]
        above = [f"{data['baselines'][key]} {AREA.estimate(area)}" for key, area in areas.items() if _above(area)]
        near = [data["baselines"][key] for key, area in areas.items() if _near(area, model)]
        if above:
            lines.append(f"{name}: above chance without its signs: {'; '.join(above)}. Model: {AREA.estimate(model)}.")
        if near:
            lines.append(f"{name}: within {AREA.number(NEAR)[:3]} of the model or above it: {'; '.join(near)}.")
    return lines


def _above(area: Mapping[str, Any]) -> bool:
    return area["low"] is not None and area["low"] > 0.5


def _near(area: Mapping[str, Any], model: Mapping[str, Any]) -> bool:
    value = area["value"]
    return None not in (value, model["value"]) and value > 0.5 and model["value"] - value <= NEAR


def _lopsided(finding: str, films: Mapping[str, Any]) -> str:
    """Which source has most more of the films with a finding than of those without."""
    counts = {source: row["findings"][finding] for source, row in films.items()}
    totals = {key: max(sum(count[key] for count in counts.values()), 1) for key in ("with", "without")}
    shares = {
        source: (count["with"] / totals["with"], count["without"] / totals["without"])
        for source, count in counts.items()
    }
    source, (own, other) = max(shares.items(), key=lambda item: item[1][0] - item[1][1])
    return (
        f"{finding}: {_percent(own)} of the films with it are from {source}, and {_percent(other)} of those without it."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _apart_sentences(told: Sequence[Mapping[str, Any]]) -> list[str]:
    groups: dict[tuple[str, str], list[str]] = {}
    for row in told:
        if row["named"]:
            direction = "higher" if row["auroc"]["value"] > 0.5 else "lower"
            text = f"{direction} in {row['source']} {AREA.estimate(row['auroc'])}"
            groups.setdefault((row["finding"], row["among"]), []).append(text)
    return [
        f"Among {among} the model's probability of {finding} tells sources apart (AUROC of one against the others): "
        f"{'; '.join(texts)}."
        for (finding, among), texts in groups.items()
    ]


def read_audit(path: Path) -> dict[str, Any]:
    """The content of an ``audit.json``. Raises InvalidPredictions where it cannot be read as one."""
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if data["schema"] == SCHEMA and as_table(data) and all(map(_is_text, [*data["sentences"], *named_films(data)])):
            return data
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError):
        pass
    raise InvalidPredictions(f"{path.name} of {path.parent.name!r} cannot be read; run cxr audit again")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def named_films(data: Mapping[str, Any]) -> list[str]:
    """Every film that an audit names."""
    labels = [film["image"] for row in data["label_errors"].values() for film in row["films"] or ()]
    pairs = data["near_duplicates"]["pairs"] or ()
    return labels + [pair[key] for pair in pairs for key in ("image", "training_image")]


def as_table(data: Mapping[str, Any]) -> str:
    """The areas of an audit for a terminal, its sentences, likely label errors and near-duplicates."""
    width = max(map(len, data["findings"]))
    lines = [
        f"{data['dataset']}, {data['split']}: {data['n']:,} films of {data['n_patients']:,} patients; AUROC (95 %)",
        f"{'':{width}}   with without  {'model':20}" + "".join(f"{key:20}" for key in data["baselines"]).rstrip(),
    ]
    for name, row in data["findings"].items():
        areas = [row["auroc"], *(row["baselines"][key]["auroc"] for key in data["baselines"])]
        cells = "".join(f"{AREA.estimate(area):20}" for area in areas).rstrip()
        lines.append(f"{name:{width}}  {row['n_pos']:5} {row['n_neg']:7}  {cells}")
    missing = {
        key: {row["baselines"][key]["auroc"].get("why") for row in data["findings"].values()}
        for key in data["baselines"]
    }
    lines += [f"no {key}: {whys.pop()}" for key, whys in missing.items() if len(whys) == 1 and None not in whys]
    return "\n".join([*lines, "", *data["sentences"], *summary_of_films(data)])


def summary_of_films(data: Mapping[str, Any]) -> list[str]:
    """Likely label errors and near-duplicates, a sentence each."""
    counts = {name: row["candidates"] for name, row in data["label_errors"].items() if row["candidates"]}
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
    near = data["near_duplicates"]
    pairs = (
        f"not looked for, since {near['why']}"
        if near["count"] is None
        else (f"{near['count']:,} pairs, among {near['training_films']:,} training films")
    )
    return [
        f"Labels that the model contradicts (confident learning): {listed}.",
        f"Near-duplicates in training: {pairs}.",
    ]
