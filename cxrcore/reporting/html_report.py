"""The HTML report of a model's scores: one file that opens offline and prints, from ``templates/report.html``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cxrcore.bundle.folder import is_ensemble, read_config, read_ensemble
from cxrcore.errors import InvalidBundle, InvalidPredictions
from cxrcore.evaluation.audit_report import AUDIT, read_audit, summary_of_films
from cxrcore.evaluation.literature import published
from cxrcore.evaluation.record import METRICS, FindingMetrics, Metrics, Rate, read_metrics
from cxrcore.evaluation.robustness import HEAD as HEAD_OF_CHANGES
from cxrcore.evaluation.robustness import as_rows, read_robustness, summary
from cxrcore.evaluation.score import Scored
from cxrcore.evaluation.subgroups import RULE, Gap, groups_of, subgroup_gaps
from cxrcore.findings import Finding, Kind
from cxrcore.metrics.decision_curves import decision_curve
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import GIVEN, OperatingPoints
from cxrcore.models.opening import find_bundle
from cxrcore.predictions.record import Predictions
from cxrcore.reporting import charts
from cxrcore.reporting.bundle_facts import read_facts
from cxrcore.reporting.checklists import Checklist, fill_checklists
from cxrcore.reporting.figures import short
from cxrcore.resources import load_template
from cxrcore.text import HasInterval, NumberFormat, ends

RULES = {"youden": "greatest sensitivity + specificity (Youden)", "best_f1": "best F1"}
_CHOSEN = {"val": "validation patients", GIVEN: "films that nobody names", "unknown": "films that nobody names"}
_RATES = ("sensitivity", "specificity", "ppv", "npv", "f1", "accuracy")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one split, and its films where they are at hand (not in a bundle that left its machine)."""

    metrics: Metrics
    curves: Mapping[str, Any]  # as curves.json
    films: Predictions | None = None  # of that split
    notes: tuple[str, ...] = ()
    audit: Mapping[str, Any] | None = None  # as audit.json, where the split was audited
    robustness: Mapping[str, Any] | None = None  # as robustness.json, where changed films were scored


def evaluations_of(reference: str) -> list[Evaluation]:
    """Every evaluation of a bundle, the test split first.

    Raises BundleNotFound, InvalidBundle if it has none or they cannot be read, InvalidPredictions for a damaged audit.
    """
    folder = find_bundle(reference)
    evaluations = []
    for path in sorted(folder.glob(f"evaluation/*/{METRICS}")):
        try:
            metrics = read_metrics(path)
            curves = json.loads((path.parent / "curves.json").read_text("utf-8"))
        except (OSError, ValueError, InvalidPredictions):
            raise InvalidBundle(f"the scores in {path.parent.name!r} of model {folder.name!r} cannot be read") from None
        table, audit = path.parent / "predictions.parquet", path.parent / AUDIT
        films = Predictions.read(table).of_split(metrics.split) if table.is_file() else None
        audited = read_audit(audit) if audit.is_file() else None
        changed = read_robustness(path.parent, metrics.model)
        evaluations.append(Evaluation(metrics, curves, films, audit=audited, robustness=changed))
    if not evaluations:
        raise InvalidBundle(f"model {folder.name!r} carries no scores to report; run cxr evaluate first")
    return sorted(evaluations, key=lambda one: one.metrics.split != "test")


def remarks_of(reference: str) -> list[str]:
    """Limits that a bundle states about itself: synthetic films, and its own note."""
    folder = find_bundle(reference)
    facts = (read_ensemble(folder) if is_ensemble(folder) else read_config(folder)).provenance
    drawn = "It has only ever seen films drawn by a program; nothing it says about a person's film means anything."
    return [drawn] * bool(facts.get("synthetic")) + ([str(facts["note"])] if facts.get("note") else [])


def checklists_of(reference: str) -> list[Checklist]:
    """Reporting checklists, filled from a bundle. Raises BundleNotFound or InvalidBundle."""
    return fill_checklists(read_facts(find_bundle(reference)))


def from_scored(scored: Scored) -> Evaluation:
    """The evaluation of a table that was just scored."""
    return Evaluation(scored.metrics, scored.curves, scored.films, scored.films.notes)


def render(evaluations: Sequence[Evaluation], remarks: Sequence[str] = (), checklists: Sequence[Checklist] = ()) -> str:
    """The whole report as HTML; ``remarks`` are listed under its limits, and ``checklists`` stand at its end."""
    template = load_template(
        "cxrcore.reporting",
        "report.html",
        number=_number,
        interval=_interval,
        percent=_percent,
        count=lambda value: f"{value:,}",
        p=_p,
        hundred=_HUNDREDTHS.number,
        rule=lambda rule: RULES.get(rule, rule),
        where=lambda films: _CHOSEN.get(films, films),
    )
    return template.render(
        model=evaluations[0].metrics.model,
        evaluations=[_page(one, f"e{k}") for k, one in enumerate(evaluations)],
        remarks=list(remarks),
        checklists=checklists,
        hundreds=_HUNDREDTHS.interval,
        tick=lambda value: short(value).rstrip("0"),
    )


def _page(evaluation: Evaluation, anchor: str) -> dict[str, Any]:
    """The values that the template shows of one evaluation."""
    metrics = evaluation.metrics
    rows = [
        _finding(name, scores, evaluation, f"{anchor}-{k}") for k, (name, scores) in enumerate(metrics.findings.items())
    ]
    return {
        "anchor": anchor,
        "metrics": metrics,
        "origin": metrics.origin,
        "validation": metrics.split == "val",
        "rows": rows,
        "ranked": sorted(rows, key=lambda row: -(row["auroc"].value if row["auroc"].value is not None else -1.0)),
        "axis_start": _axis_start(metrics),
        "any_rates": any(row["rates"] for row in rows),
        "no_rates": next((row["why_no_rates"] for row in rows if not row["rates"]), None),
        "rule": metrics.operating_points,
        "winner": metrics.kind == Kind.MULTICLASS and len(rows) > 2,
        "confusion": metrics.confusion,
        "recalibrated": any(row["slope"] for row in rows),
        "benefits": [row for row in rows if row["benefit"]],
        "reports": _reports(metrics.dataset, rows),
        "histograms": evaluation.films is not None,
        "groups": None if evaluation.films is None else _groups(evaluation.films, metrics),
        "group_rule": RULE,
        "audit": None if evaluation.audit is None else _audit(evaluation.audit),
        "robustness": None if evaluation.robustness is None else _robustness(evaluation.robustness),
        "notes": evaluation.notes,
        "repeated": metrics.n_patients < metrics.n,
    }


def _axis_start(metrics: Metrics) -> float:
    """Where the axis of the AUROC bars begins: .5, or the tenth below the lowest value or interval."""
    areas = [scores.auroc for scores in metrics.findings.values()]
    lowest = [area.value if area.low is None else area.low for area in areas if area.value is not None]
    return min(0.5, float(np.floor(min((low for low in lowest if low is not None), default=0.5) * 10) / 10))


def _finding(name: str, scores: FindingMetrics, evaluation: Evaluation, anchor: str) -> dict[str, Any]:
    """One finding's row in every table, and its charts."""
    rates = {rate: scores.rate(rate) for rate in _RATES}
    has_rates = scores.sensitivity is not None or scores.specificity is not None
    calibration = scores.calibration
    return {
        "name": name,
        "title": Finding(name, "").title,
        "anchor": anchor,
        "scores": scores,
        "auroc": scores.auroc,
        "rates": rates if has_rates else None,
        "why_no_rates": None if has_rates else scores.why_of("sensitivity") or "no thresholds",
        "slope": calibration and _defined(calibration.slope),
        "intercept": calibration and _defined(calibration.intercept),
        "benefit": _benefit(name, scores, evaluation.films),
        "charts": [(caption, _safe(svg)) for caption, svg in _charts(name, scores, evaluation)],
    }


def _charts(name: str, scores: FindingMetrics, evaluation: Evaluation) -> list[tuple[str, str]]:
    """Caption and SVG of every chart that a finding's curves allow."""
    title, curve = Finding(name, "").title, evaluation.curves["findings"].get(name, {})
    sensitivity, specificity, ppv = scores.sensitivity, scores.specificity, scores.ppv
    shown = []
    if curve.get("roc"):
        label = f"ROC curve of {title}, area {_number(scores.auroc.value)}"
        point = None if sensitivity is None or specificity is None else (sensitivity, specificity)
        shown.append(("ROC", charts.roc(curve["roc"], point, label)))
    if curve.get("pr"):
        label = f"Precision by sensitivity for {title}, average precision {_number(scores.auprc.value)}"
        point = None if sensitivity is None or ppv is None else (sensitivity, ppv)
        shown.append(("Precision and recall", charts.pr(curve["pr"], scores.prevalence, point, label)))
    if curve.get("reliability", {}).get("bins"):
        label = f"Observed share of {title} by predicted probability"
        shown.append(("Reliability", charts.reliability(curve["reliability"]["bins"], label)))
    if scores.n_pos and curve.get("decision"):
        label = f"Net benefit of acting on {title} by threshold probability"
        shown.append(("Worth acting on", charts.net_benefit(curve["decision"], scores.threshold, label)))
    films = evaluation.films
    if films is not None and name in films.labels:
        column, label = films.labels.index(name), f"Predicted probabilities of films with and without {title}"
        targets, probabilities = films.targets[:, column], films.probabilities[:, column]
        if (chart := charts.histogram(targets, probabilities, scores.threshold, label)) is not None:
            shown.append(("Probabilities", chart))
    return shown


def _benefit(name: str, scores: FindingMetrics, films: Predictions | None) -> dict[str, Any] | None:
    """Net benefit at the threshold, with an interval where the films are at hand; None without threshold or finding."""
    threshold, counts = scores.threshold, scores.counts
    if not (counts and threshold is not None and 0 < threshold < 1 and scores.n_pos):
        return None
    odds, n = threshold / (1 - threshold), scores.n_pos + scores.n_neg
    low = high = None
    if films is not None:
        column = films.labels.index(name)
        curve = decision_curve(
            films.targets[:, column], films.probabilities[:, column], films.patient_ids, np.array([threshold])
        )
        assert curve is not None
        low, high = float(curve.low[0]), float(curve.high[0])
    return {
        "threshold": threshold,
        "model": Rate((counts.tp - counts.fp * odds) / n, low, high, None),
        "everybody": (scores.n_pos - scores.n_neg * odds) / n,
    }


def _reports(dataset: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Published scores on the same data; None where none are known for these findings."""
    reports = published(dataset)
    shown = [row for row in rows if any(row["name"] in report.auroc for report in reports)]
    if not shown:
        return None
    names = [row["name"] for row in shown]
    means = [report.mean(names) for report in reports]
    return {"reports": reports, "rows": shown, "means": means, "all": len(names) == len(reports[0].auroc)}


def _robustness(data: Mapping[str, Any]) -> dict[str, Any]:
    """The mean over findings under every change, and each finding's difference."""
    signed, changes = NumberFormat(signed=True), data["changes"]
    return {
        "summary": summary(data),
        "head": HEAD_OF_CHANGES,
        "rows": as_rows(data),
        "changes": list(changes),
        "findings": {
            Finding(name, "").title: [
                (signed.number(gap["value"]), signed.interval(gap["low"], gap["high"]))
                for gap in (one["findings"][name]["difference"] for one in changes.values())
            ]
            for name in next(iter(changes.values()))["findings"]
        },
    }


def _groups(films: Predictions, metrics: Metrics) -> dict[str, Any] | None:
    """AUROC by finding and group, and underdiagnosis by group; None without age, sex or view of the patients."""
    groups = groups_of(films.metadata, together=1)
    if not groups:
        return None
    gaps = subgroup_gaps(films, _points(metrics, films), groups)
    areas = [gap for gap in gaps if gap.measure == "auroc"]
    significant = _without_mirrors([gap for gap in gaps if gap.p_holm is not None and gap.p_holm < 0.05])
    significant.sort(key=lambda gap: -abs(gap.gap.value or 0))
    return {
        "names": list(dict.fromkeys(gap.group for gap in areas)),
        "sizes": {group.name: int(group.films.sum()) for group in groups},
        "table": {
            Finding(str(name), "").title: {gap.group: gap for gap in areas if gap.finding == name}
            for name in dict.fromkeys(gap.finding for gap in areas)
        },
        "missed": [gap for gap in gaps if gap.measure == "underdiagnosis" and gap.score.value is not None],
        "gaps": significant[:12],
        "n_clear": len(significant),
        "n_tested": sum(gap.p is not None for gap in gaps),
        "titles": {str(gap.finding): Finding(str(gap.finding), "").title for gap in gaps} | {"None": "any finding"},
    }


def _audit(audit: Mapping[str, Any]) -> dict[str, Any]:
    """AUROC of the model and of each baseline that was fitted, by finding, and what stands out."""
    rows = {
        Finding(name, "").title: (row, [row["auroc"], *(row["baselines"][key]["auroc"] for key in audit["baselines"])])
        for name, row in audit["findings"].items()
    }
    titles = ["the model", *audit["baselines"].values()]
    fitted = [n for n in range(len(titles)) if any(areas[n]["value"] is not None for _, areas in rows.values())]
    return {
        "titles": [titles[n] for n in fitted],
        "rows": {
            title: (row, [Rate(areas[n]["value"], areas[n]["low"], areas[n]["high"], None) for n in fitted])
            for title, (row, areas) in rows.items()
        },
        "sentences": [*audit["sentences"], *summary_of_films(audit)],
    }


def _without_mirrors(gaps: Sequence[Gap]) -> list[Gap]:
    """Of two groups that are each other's rest, keep the first: men against women repeats women against men."""
    unique: dict[tuple[object, ...], Gap] = {}
    for gap in gaps:
        unique.setdefault((gap.measure, gap.finding, *gap.attributes, round(abs(gap.gap.value or 0), 9)), gap)
    return list(unique.values())


def _points(metrics: Metrics, films: Predictions) -> OperatingPoints | None:
    """The thresholds of these metrics, in the order of the films' labels."""
    thresholds = {name: scores.threshold for name, scores in metrics.findings.items()}
    if all(value is None for value in thresholds.values()):
        return None
    values = [thresholds.get(name) for name in films.labels]
    return OperatingPoints(
        films.labels.names, np.array([np.nan if value is None else value for value in values], np.float32), GIVEN
    )


def _defined(estimate: Estimate) -> Estimate | None:
    return estimate if estimate.value is not None else None


def _safe(svg: str) -> Any:
    from markupsafe import Markup

    return Markup(svg)


_DECIMALS = {
    digits: NumberFormat(digits, leading_zero=False, minus="−", between="–", undefined="–") for digits in (2, 3)
}
_HUNDREDTHS = NumberFormat(2, 100, leading_zero=False, minus="−", between="–", undefined="–")


def _number(value: float | None, digits: int = 3) -> str:
    """``.871``, as journals print a number that cannot pass 1; a dash for None."""
    return _DECIMALS[digits].number(value)


def _interval(estimate: HasInterval, digits: int = 3) -> str:
    """``.852–.890``; empty where there is none."""
    return _DECIMALS[digits].interval(*ends(estimate)[1:])


def _percent(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.1%}" if value >= 0.01 or value == 0 else f"{value:.2%}"


def _p(value: float | None) -> str:
    return "< .001" if value is not None and value < 0.001 else _number(value)
