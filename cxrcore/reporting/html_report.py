"""What would somebody want to read of a model's scores, offline and on paper? One HTML file that asks nothing of a net.

The page is ``assets/report/report.html`` filled with numbers; charts are SVG in the file itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrcore.bundle.folder import is_ensemble, read_config, read_ensemble
from cxrcore.errors import InvalidBundle
from cxrcore.evaluation.literature import published
from cxrcore.evaluation.score import Scored
from cxrcore.evaluation.split_origins import split_origin_of
from cxrcore.evaluation.subgroups import RULE, Gap, groups_of, subgroup_gaps
from cxrcore.findings import Finding
from cxrcore.metrics.decision_curves import decision_curve
from cxrcore.metrics.operating_points import GIVEN, OperatingPoints
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.reporting import charts as figures
from cxrcore.resources import ASSETS

FOLDER = ASSETS / "report"
RULES = {"youden": "greatest sensitivity + specificity (Youden)", "best_f1": "best F1"}
_CHOSEN = {"val": "validation patients", GIVEN: "films that nobody names", "unknown": "films that nobody names"}
_RATES = ("sensitivity", "specificity", "ppv", "npv", "f1", "accuracy")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one split, and its films where they are at hand (not in a bundle that left its machine)."""

    metrics: dict  # as metrics.json
    curves: dict  # as curves.json
    films: Predictions | None = None  # of that split
    notes: tuple[str, ...] = ()


def evaluations_of(reference: str) -> list[Evaluation]:
    """Every evaluation of a bundle, the test split first. Raises BundleNotFound, or InvalidBundle where it has none."""
    folder = find_bundle(reference)
    found = []
    for path in sorted(folder.glob("evaluation/*/metrics.json")):
        try:
            metrics = json.loads(path.read_text("utf-8"))
            curves = json.loads((path.parent / "curves.json").read_text("utf-8"))
        except (OSError, ValueError):
            raise InvalidBundle(f"the scores in {path.parent.name!r} of model {folder.name!r} cannot be read") from None
        table = path.parent / "predictions.parquet"
        films = Predictions.read(table) if table.is_file() else None
        found.append(Evaluation(metrics, curves, films.of_split(metrics["split"]) if films else None))
    if not found:
        raise InvalidBundle(f"model {folder.name!r} carries no scores to report; run cxr evaluate first")
    return sorted(found, key=lambda one: one.metrics["split"] != "test")


def remarks_of(reference: str) -> list[str]:
    """What a bundle says against itself: films drawn by a program, and its own note."""
    folder = find_bundle(reference)
    facts = (read_ensemble(folder) if is_ensemble(folder) else read_config(folder)).provenance
    said = ["It has only ever seen films drawn by a program; nothing it says about a person's film means anything."]
    remarks = said if facts.get("synthetic") else []
    return remarks + ([str(facts["note"])] if facts.get("note") else [])


def from_scored(scored: Scored) -> Evaluation:
    """The evaluation of a table that was just scored."""
    return Evaluation(scored.metrics.to_dict(), scored.curves, scored.films, scored.films.notes)


def render(evaluations: Sequence[Evaluation], remarks: Sequence[str] = ()) -> str:
    """The whole page. ``remarks`` are said under its limits."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "interval": _interval, "percent": _percent, "count": _count, "p": _p}
    environment.filters |= {
        "hundred": lambda estimate: _number(_times(estimate["value"], 100), 2),
        "hundreds": lambda estimate: _interval({end: _times(estimate[end], 100) for end in ("low", "high")}, 2),
        "rule": lambda rule: RULES.get(rule, rule),
        "where": lambda films: _CHOSEN.get(films, films),
    }
    template = environment.get_template("report.html")
    return template.render(
        model=evaluations[0].metrics["model"],
        style=(FOLDER / "report.css").read_text("utf-8"),
        evaluations=[_page(one, f"e{k}") for k, one in enumerate(evaluations)],
        remarks=list(remarks),
    )


def _page(evaluation: Evaluation, anchor: str) -> dict[str, Any]:
    """Everything that the template says about one evaluation."""
    metrics = evaluation.metrics
    origin = split_origin_of(metrics.get("split_origin"))
    rows = [
        _finding(name, scores, evaluation, f"{anchor}-{k}")
        for k, (name, scores) in enumerate(metrics["findings"].items())
    ]
    areas = [row["auroc"] for row in rows if row["auroc"]["value"] is not None]
    lowest = min([a["low"] if a["low"] is not None else a["value"] for a in areas], default=0.5)
    start = min(0.5, float(np.floor(lowest * 10) / 10))
    for row in rows:
        area = row["auroc"]
        value = area["value"]
        row["bar"] = "" if value is None else _safe(figures.interval_bar(value, area["low"], area["high"], start))
    ranked = sorted(rows, key=lambda row: -(row["auroc"]["value"] if row["auroc"]["value"] is not None else -1.0))
    return {
        "anchor": anchor,
        "metrics": metrics,
        "origin": origin.key,
        "badge": origin.label,
        "badge_means": origin.explanation,
        "validation": metrics["split"] == "val",
        "rows": rows,
        "ranked": ranked,
        "axis": _safe(figures.axis_bar(start)),
        "any_rates": any(row["rates"] for row in rows),
        "no_rates": next((row["why_no_rates"] for row in rows if not row["rates"]), None),
        "rule": metrics.get("operating_points"),
        "winner": metrics.get("kind") == "multiclass" and len(rows) > 2,
        "confusion": metrics.get("confusion"),
        "recalibrated": any(row["slope"] for row in rows),
        "benefits": [row for row in rows if row["benefit"]],
        "reports": _reports(metrics, rows),
        "histograms": evaluation.films is not None,
        "groups": None if evaluation.films is None else _groups(evaluation.films, metrics),
        "group_rule": RULE,
        "notes": evaluation.notes,
        "repeated": metrics["n_patients"] < metrics["n"],
    }


def _finding(name: str, scores: dict, evaluation: Evaluation, anchor: str) -> dict[str, Any]:
    """One finding's row in every table, and its charts."""
    title = Finding(name, "").title
    intervals = scores.get("intervals", {})
    rates = {rate: _estimate(scores.get(rate), intervals.get(rate)) for rate in _RATES}
    has_rates = rates["sensitivity"]["value"] is not None or rates["specificity"]["value"] is not None
    curve = evaluation.curves["findings"].get(name, {})
    sensitivity, specificity, ppv = (rates[rate]["value"] for rate in ("sensitivity", "specificity", "ppv"))
    roc_point = None if None in (sensitivity, specificity) else (sensitivity, specificity)
    pr_point = None if None in (sensitivity, ppv) else (sensitivity, ppv)
    area, average = scores["auroc"]["value"], scores["auprc"]["value"]
    charts = []
    if curve.get("roc"):
        label = f"ROC curve of {title}, area {_number(area)}"
        charts.append(("ROC", figures.roc(curve["roc"], roc_point, label)))
    if curve.get("pr"):
        label = f"Precision by sensitivity for {title}, average precision {_number(average)}"
        charts.append(("Precision and recall", figures.pr(curve["pr"], scores.get("prevalence"), pr_point, label)))
    if curve.get("reliability", {}).get("bins"):
        label = f"Observed share of {title} by predicted probability"
        charts.append(("Reliability", figures.reliability(curve["reliability"]["bins"], label)))
    if scores["n_pos"] and curve.get("decision"):
        label = f"Net benefit of acting on {title} by threshold probability"
        charts.append(("Worth acting on", figures.net_benefit(curve["decision"], scores.get("threshold"), label)))
    if (drawn := _histogram(name, title, scores, evaluation.films)) is not None:
        charts.append(("Probabilities", drawn))
    return {
        "name": name,
        "title": title,
        "anchor": anchor,
        "n_pos": scores["n_pos"],
        "n_neg": scores["n_neg"],
        "prevalence": scores.get("prevalence"),
        "auroc": scores["auroc"],
        "auprc": scores["auprc"],
        "threshold": scores.get("threshold"),
        "rates": rates if has_rates else None,
        "why_no_rates": None if has_rates else _why(scores, "sensitivity"),
        "brier": scores.get("brier"),
        "ece": scores.get("ece"),
        "ece_expected": scores.get("ece_expected"),
        "slope": _part(scores, "slope"),
        "intercept": _part(scores, "intercept"),
        "benefit": _benefit(name, scores, evaluation.films),
        "charts": [(caption, _safe(svg)) for caption, svg in charts],
    }


def _benefit(name: str, scores: dict, films: Predictions | None) -> dict[str, Any] | None:
    """Net benefit at the threshold, with an interval where the films are at hand; None without threshold or finding."""
    threshold, counts = scores.get("threshold"), scores.get("counts")
    if not (counts and threshold is not None and 0 < threshold < 1 and scores["n_pos"]):
        return None
    odds, n = threshold / (1 - threshold), scores["n_pos"] + scores["n_neg"]
    model = _estimate((counts["tp"] - counts["fp"] * odds) / n, None)
    if films is not None:
        column = films.labels.index(name)
        drawn = decision_curve(
            films.targets[:, column], films.probabilities[:, column], films.patient_ids, np.array([threshold])
        )
        assert drawn is not None
        model |= {"low": float(drawn.low[0]), "high": float(drawn.high[0])}
    return {"threshold": threshold, "model": model, "everybody": (scores["n_pos"] - scores["n_neg"] * odds) / n}


def _reports(metrics: dict, rows: Sequence[dict]) -> dict[str, Any] | None:
    """What others published on the same data, beside this model; None where nothing is known."""
    found = published(metrics["dataset"])
    shown = [row for row in rows if any(row["name"] in report.auroc for report in found)]
    if not shown:
        return None
    names = [row["name"] for row in shown]
    means = [report.mean(names) for report in found]
    return {"reports": found, "rows": shown, "means": means, "all": len(names) == len(found[0].auroc)}


def _histogram(name: str, title: str, scores: dict, films: Predictions | None) -> str | None:
    if films is None or name not in films.labels:
        return None
    column = films.labels.index(name)
    label = f"Predicted probabilities of films with and without {title}"
    return figures.histogram(films.targets[:, column], films.probabilities[:, column], scores.get("threshold"), label)


def _groups(films: Predictions, metrics: dict) -> dict[str, Any] | None:
    """AUROC by finding and group, and underdiagnosis by group; None where nothing is known of the people."""
    groups = groups_of(films.metadata, together=1)
    if not groups:
        return None
    thresholds = {name: scores.get("threshold") for name, scores in metrics["findings"].items()}
    points = _points(thresholds, films)
    gaps = subgroup_gaps(films, points, groups)
    areas = [gap for gap in gaps if gap.measure == "auroc"]
    names = list(dict.fromkeys(gap.group for gap in areas))
    table = {
        Finding(str(name), "").title: {gap.group: gap for gap in areas if gap.finding == name}
        for name in dict.fromkeys(gap.finding for gap in areas)
    }
    sizes = {group.name: int(group.films.sum()) for group in groups}
    missed = [gap for gap in gaps if gap.measure == "underdiagnosis" and gap.score.value is not None]
    clear = [gap for gap in gaps if gap.p_holm is not None and gap.p_holm < 0.05]
    clear = _without_mirrors(clear)
    clear.sort(key=lambda gap: -abs(gap.gap.value or 0))
    words = {str(gap.finding): Finding(str(gap.finding), "").title for gap in gaps}
    return {
        "names": names,
        "sizes": sizes,
        "table": table,
        "missed": missed,
        "gaps": clear[:12],
        "n_clear": len(clear),
        "n_tested": sum(gap.p is not None for gap in gaps),
        "titles": words | {"None": "any finding"},
        "estimate": lambda gap: gap.to_dict(),
    }


def _without_mirrors(gaps: Sequence[Gap]) -> list[Gap]:
    """Of two groups that are each other's rest, the first: men against women says all of women against men."""
    kept: dict[tuple, Gap] = {}
    for gap in gaps:
        kept.setdefault((gap.measure, gap.finding, *gap.attributes, round(abs(gap.gap.value or 0), 9)), gap)
    return list(kept.values())


def _points(thresholds: dict[str, float | None], films: Predictions) -> OperatingPoints | None:
    """The thresholds that the scores were made with."""
    if all(value is None for value in thresholds.values()):
        return None
    values = np.array([np.nan if thresholds.get(n) is None else thresholds[n] for n in films.labels], np.float32)
    return OperatingPoints(films.labels.names, values, GIVEN)


def _part(scores: dict, name: str) -> dict | None:
    """The slope or intercept of recalibration; None where there is none, as in older files."""
    found = (scores.get("calibration") or {}).get(name)
    return found if found and found["value"] is not None else None


def _estimate(value: float | None, interval: Sequence[float] | None) -> dict:
    low, high = interval if interval else (None, None)
    return {"value": value, "low": low, "high": high}


def _why(scores: dict, name: str) -> str:
    """The reason that an entry's ``why`` gives for one null."""
    for part in str(scores.get("why", "")).split("; "):
        names, _, reason = part.partition(": ")
        if name in names.split(", "):
            return reason
    return "no thresholds"


def _safe(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)


def _number(value: float | None, digits: int = 3) -> str:
    """``.871``, as journals print a number that cannot pass 1; a dash for none."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return re.sub(r"^(-?)0\.", r"\1.", text).replace("-", "−")


def _interval(estimate: dict, digits: int = 3) -> str:
    """``.852–.890``; empty where there is none."""
    if estimate.get("low") is None:
        return ""
    low, high = (_number(estimate[end], digits) for end in ("low", "high"))
    return f"{low} to {high}" if "−" in low + high else f"{low}–{high}"


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if value >= 0.01 or value == 0 else f"{value:.2%}"


def _count(value: int) -> str:
    return f"{value:,}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< .001" if value < 0.001 else _number(value)
