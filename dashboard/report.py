"""The HTML report of the open results, at the thresholds in use, and the note that says what was chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import numpy as np
import streamlit as st

from cxrcore.evaluation.record import Counts, FindingMetrics
from cxrcore.metrics.rates import Rates
from cxrcore.reporting.bundle_facts import read_facts
from cxrcore.reporting.checklists import fill_checklists
from cxrcore.reporting.html_report import Evaluation, remarks_of, render
from dashboard import parts, state, thresholds
from dashboard.sources.source import Source
from dashboard.thresholds import BY_HAND, MOST_PROBABLE, OWN, Decision

_PRIVATE = ("model", "labels", "upload", "upload_labels", "text", "film")  # paths, tokens and names of films


def offer_report(source: Source, page: str, title: str) -> None:
    """Draw the button that saves the report; it is only made when it is pressed."""
    st.download_button(
        "Download this as a report",
        lambda: make_report(source, page, title).encode(),
        file_name=f"report-{_name(source)}.html",
        mime="text/html",
        key="report",
        on_click="ignore",
        icon=":material/download:",
        help="One HTML file with scores, curves and tables of every finding at the threshold that is chosen here; it "
        "opens offline and prints.",
    )


def make_report(source: Source, page: str, title: str) -> str:
    """The report as HTML."""
    evaluation = _evaluation(source)
    remarks = [] if source.folder is None else remarks_of(str(source.folder))
    checklists = [] if source.folder is None else fill_checklists(read_facts(source.folder))
    return render([evaluation], [*remarks, *_choices(source, page, title)], checklists)


def _evaluation(source: Source) -> Evaluation:
    """The scores as the pages show them: those stored, with the rates of the thresholds in use."""
    notes = source.notes
    findings = {}
    for name, scores in source.scores.items():
        made = thresholds.decision(source, name)
        if made.why or made.rule in (OWN, MOST_PROBABLE) or source.curves["findings"][name]["roc"] is None:
            findings[name] = scores
            continue
        if made.rule == BY_HAND and name != (state.read("finding") or source.main_finding):
            findings[name] = scores
            continue
        findings[name] = _with_rates(scores, *thresholds.rates(source, name, made))
    rule = thresholds.decision(source, source.main_finding).rule
    films = thresholds.scored_films(source, rule)
    if films is not None:
        notes = (*notes, f"Rates at thresholds leave out the {int((~films).sum()):,} films that chose the thresholds.")
    f1 = [
        one.f1 for name, one in findings.items() if one.f1 is not None and name in (source.labels.abnormal or findings)
    ]
    macro = replace(source.metrics.macro, f1=float(np.mean(f1)) if f1 else None)
    changed = any(findings[name] is not scores for name, scores in source.scores.items())
    stated = {"rule": rule, "fitted_on": "val" if source.validation is not None else "a fifth of the patients"}
    metrics = replace(source.metrics, findings=findings)
    if changed:
        metrics = replace(metrics, macro=macro, operating_points=stated if rule != BY_HAND else None)
    return Evaluation(metrics, source.curves, source.predictions, notes)


def _with_rates(scores: FindingMetrics, made: Decision, rates: Rates) -> FindingMetrics:
    """Scores with the rates of another threshold."""
    estimates = rates.estimates
    bounded = {name: one for name, one in estimates.items() if one.low is not None and one.high is not None}
    missing = {one.why: name for name, one in estimates.items() if one.value is None}
    other = [part for part in (scores.why or "").split("; ") if part and not part.startswith(("threshold", *estimates))]
    values: dict[str, Any] = {name: one.value for name, one in estimates.items()}
    return replace(
        scores,
        **values,
        threshold=made.threshold,
        intervals={name: [float(one.low or 0), float(one.high or 0)] for name, one in bounded.items()},
        interval_methods={name: one.method for name, one in bounded.items()},
        counts=Counts(rates.tp, rates.fp, rates.fn, rates.tn),
        why="; ".join([*other, *(f"{name}: {why}" for why, name in missing.items())]) or None,
    )


def _choices(source: Source, page: str, title: str) -> list[str]:
    """What was chosen when the report was made, without paths and names of films."""
    finding = state.read("finding") or source.main_finding
    made = thresholds.decision(source, finding)
    lines = [f"Made on the dashboard's page {title}. {parts.title(finding)}: {thresholds.described(source, made)}"]
    link = {key: value for key in state.KEYS if key not in _PRIVATE and (value := state.read(key))}
    link = {key: value for key, value in link.items() if not key.startswith("other_")}
    if link:
        lines.append(f"Choices: {page}?{urlencode(link)}")
    return lines


def _name(source: Source) -> str:
    kept = [letter if letter.isalnum() or letter in "-_" else "-" for letter in source.name.partition("@")[0]]
    return "".join(kept).strip("-") or "model"
