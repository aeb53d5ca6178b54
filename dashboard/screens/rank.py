"""Ranking: whether films with a finding score above films without it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.evaluation.literature import published
from cxrcore.evaluation.record import FindingMetrics
from cxrcore.metrics.rates import Rates
from dashboard import computed, parts, state, thresholds
from dashboard.charts.forest import Row, Series, forest
from dashboard.charts.roc_pr import Band, Roc, overlaid_rocs, pr_figure, roc_figure, small_curve
from dashboard.charts.style import GREEN, ORANGE
from dashboard.parts import NUMBER
from dashboard.sources.source import Source
from dashboard.thresholds import Decision

MOST_CURVES = 6  # over one another: as many as there are colours
_REFERENCES = (("diamond-open", ORANGE), ("square-open", GREEN))


class _Decided(NamedTuple):
    """A finding, its scores, and its rates at the threshold that ``label`` names; no rates without a curve."""

    finding: str
    scores: FindingMetrics
    rates: Rates | None
    label: str


def scores_table(source: Source) -> pd.DataFrame:
    """A row per finding; undefined is empty."""
    rows = [
        {
            "finding": name,
            "films_with": scores.n_pos,
            "prevalence": scores.prevalence,
            "auroc": scores.auroc.value,
            "auroc_low": scores.auroc.low,
            "auroc_high": scores.auroc.high,
            "auprc": scores.auprc.value,
            "auprc_low": scores.auprc.low,
            "auprc_high": scores.auprc.high,
            **{report.title: report.auroc.get(name) for report in published(source.dataset)},
        }
        for name, scores in source.scores.items()
    ]
    return parts.scores_frame(rows, "films_with")


def one_finding(source: Source) -> None:
    """The two curves of the finding that is picked."""
    finding = parts.finding_picker(source)
    scores, curves = source.scores[finding], source.curves["findings"][finding]
    if scores.auroc.value is None and curves["pr"] is None:
        parts.missing(scores.auroc.why)
        return
    roc_band, pr_band = computed.bands(source, finding)
    made, rates = _decided(source, finding)
    label = "the most probable class" if made.threshold is None else f"threshold {made.threshold:.3f}"
    at = _Decided(finding, scores, rates, label)
    left, right = st.columns(2, gap="medium")
    with left:
        _roc(at, curves["roc"], roc_band)
    with right:
        _precision_recall(at, curves["pr"], pr_band)
    how = "counting patients" if source.predictions is not None else "taking films as independent"
    dot = f" The red dot: {label}. {thresholds.described(source, made)}" if rates is not None else ""
    st.caption(f"Shaded: 95 % interval at each threshold, {how}.{dot}")
    if reports := published(source.dataset):
        areas = [f"{report.title} {report.auroc[finding]:.3f}" for report in reports if finding in report.auroc]
        st.caption(f"Published AUROC for {parts.title(finding)}, on other films: {'; '.join(areas) or 'none'}.")


def _decided(source: Source, finding: str) -> tuple[Decision, Rates | None]:
    """The decision that all pages use, and its rates; None where there is no curve to mark them on."""
    made = thresholds.decision(source, finding)
    if made.why or source.curves["findings"][finding]["roc"] is None:
        return made, None
    return thresholds.rates(source, finding, made)


def _roc(at: _Decided, curve: dict[str, Any] | None, band: Band | None) -> None:
    finding, scores, rates, label = at
    st.markdown(f"**ROC curve** · AUROC {NUMBER.estimate(scores.auroc)}")
    if curve is None:
        parts.missing(scores.auroc.why)
        return
    name, point = parts.title(finding), None
    if rates is not None and rates.sensitivity.value is not None and rates.specificity.value is not None:
        point = 1 - rates.specificity.value, rates.sensitivity.value
    parts.chart(
        roc_figure(curve, name, band, point, label=label),
        f"roc-{finding}",
        lambda: _points(curve),
        f"ROC curve of {name}, area {NUMBER.number(scores.auroc.value)}",
        "The further the curve bulges to the upper left, the better; the dotted line is chance.",
    )


def _precision_recall(at: _Decided, curve: dict[str, Any] | None, band: Band | None) -> None:
    finding, scores, rates, label = at
    st.markdown(f"**Precision-recall curve** · area {NUMBER.estimate(scores.auprc)}")
    if curve is None:
        parts.missing(scores.auprc.why)
        return
    name, point = parts.title(finding), None
    if rates is not None and rates.sensitivity.value is not None and rates.ppv.value is not None:
        point = rates.sensitivity.value, rates.ppv.value
    parts.chart(
        pr_figure(curve, name, scores.prevalence, band, point, label=label),
        f"pr-{finding}",
        lambda: _points(curve),
        f"Precision-recall curve of {name}, area {NUMBER.number(scores.auprc.value)}",
        "Precision (share of positive calls that are right) as sensitivity grows; compare only at equal prevalence.",
    )


def _points(curve: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame({key: value for key, value in curve.items() if key != "area"})


def against_published(source: Source, table: pd.DataFrame) -> None:
    """The model's AUROCs beside published ones, each with its kind of split."""
    drawn = table.dropna(subset="auroc").sort_values("auroc", ascending=False)
    names = [parts.title(name) for name in drawn["finding"]]
    areas = [source.scores[name].auroc for name in drawn["finding"]]
    own = [Row(name, area.value, area.low, area.high) for name, area in zip(names, areas, strict=True)]
    series = [Series(own, f"{source.name}, {source.metrics.origin.key} split")]
    for report, (symbol, colour) in zip(published(source.dataset), _REFERENCES, strict=False):
        known = [(parts.title(name), report.auroc[name]) for name in drawn["finding"] if name in report.auroc]
        rows = [Row(name, area) for name, area in known]
        series.append(Series(rows, report.title, colour, symbol))
    compared = len(series) > 1
    floor = min([0.5, *(row.low for row in own if row.low is not None)])
    st.subheader("All findings" + (", beside published results" if compared else ""), anchor=False)
    parts.chart(
        forest(names, series, "AUROC", reference=0.5, reach=[floor - 0.02, 1.02]),
        "auroc-all",
        drawn,
        "AUROC of every finding with its interval",
        "Scores on a random split are higher than on the official list: compare only where the split is the same."
        if compared
        else "0.5 is chance, 1 is perfect; best first.",
    )


def overlaid(source: Source) -> None:
    """ROC curves of several findings over one another, with their bands."""
    curves = {name: curve for name in source.scores if (curve := source.curves["findings"][name]["roc"]) is not None}
    if len(curves) < 2:
        return
    st.subheader("Several findings in one chart", anchor=False)
    best = sorted(curves, key=lambda name: -curves[name]["area"])
    default = [best[0], best[len(best) // 2], best[-1]] if len(best) > 3 else best
    chosen = st.multiselect(
        "Findings",
        list(curves),
        format_func=parts.title,
        max_selections=MOST_CURVES,
        **state.kept("overlay", default, state.several_of(list(curves)), state.joined),
    )
    if not chosen:
        st.info("Choose the findings whose curves to draw.")
        return
    drawn = [
        Roc(
            parts.title(name),
            np.array(curves[name]["false_positive_rate"]),
            np.array(curves[name]["sensitivity"]),
            curves[name]["area"],
            computed.bands(source, name)[0],
        )
        for name in chosen
    ]
    parts.chart(
        overlaid_rocs(drawn),
        "roc-overlay",
        lambda: pd.concat([_points(curves[name]).assign(finding=name) for name in chosen]),
        f"ROC curves of {', '.join(one.name for one in drawn)}",
        "In brackets: the area. Shaded: 95 % intervals. At first the best, a middle and the worst finding are drawn.",
    )


def small_curves(source: Source) -> None:
    """Every finding's curve, small."""
    st.subheader("Every finding at a glance", anchor=False)
    kinds = ["ROC", "Precision-recall"]
    kind = st.segmented_control(
        "Curve", kinds, required=True, **state.kept("curve", "ROC", state.one_of(kinds), widget="small-kind")
    )
    key = "roc" if kind == "ROC" else "pr"
    curves = {name: curve for name in source.scores if (curve := source.curves["findings"][name][key]) is not None}
    with st.container(horizontal=True, gap="small"):
        for name, curve in curves.items():
            area = NUMBER.number(curve["area"])
            heading = f"{parts.title(name)}<br><b>{area}</b>"
            if key == "roc":
                figure = small_curve(curve["false_positive_rate"], curve["sensitivity"], heading, None, False)
            else:
                sensitivity, precision = [0.0, *curve["sensitivity"]], [curve["precision"][0], *curve["precision"]]
                figure = small_curve(sensitivity, precision, heading, source.scores[name].prevalence, True)
            parts.small_chart(figure, f"small-{kind}-{name}", f"{kind} curve of {name}, area {area}")
    parts.numbers_as_csv(
        lambda: pd.concat([_points(curve).assign(finding=name) for name, curve in curves.items()]), f"curves-{kind}"
    )


def show_table(source: Source, table: pd.DataFrame) -> None:
    """All areas as a table, and why some are undefined."""
    st.subheader("Table of all findings", anchor=False)
    st.caption("Press a column's head to sort by it.")
    labels = {
        "auroc": "AUROC",
        "auroc_low": "from",
        "auroc_high": "to",
        "auprc": "PR area",
        "auprc_low": "PR from",
        "auprc_high": "PR to",
        **{report.title: report.title for report in published(source.dataset)},
    }
    st.dataframe(
        table.assign(finding=[parts.title(name) for name in table["finding"]], prevalence=100 * table["prevalence"]),
        hide_index=True,
        height="content",
        column_config={
            "finding": st.column_config.TextColumn("Finding", pinned=True),
            "films_with": st.column_config.NumberColumn("Films with it", format="localized"),
            "prevalence": st.column_config.NumberColumn("Prevalence, %", format="%.1f"),
            **{key: st.column_config.NumberColumn(label, format="%.3f") for key, label in labels.items()},
        },
    )
    parts.numbers_as_csv(table, "scores")
    for name, scores in source.scores.items():
        if scores.auroc.value is None:
            st.caption(f"{parts.title(name)}: undefined, {scores.auroc.why}.")


def show() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(
        "Does the model rank films with a finding above films without it?",
        "AUROC is the chance that, of two films, one with the finding and one without, the first gets the higher "
        "score. It needs no threshold and says nothing about calibration.",
        source,
    )
    metrics = source.metrics
    with st.container(horizontal=True, gap="small"):
        parts.estimate_card("Macro AUROC", metrics.macro.auroc, "Unweighted mean over the findings, rare and common.")
        if metrics.micro is not None:
            words = "Every film and finding in one ranking, so that common findings count more."
            parts.estimate_card("Micro AUROC", metrics.micro.auroc, words)
    one_finding(source)
    table = scores_table(source)
    against_published(source, table)
    overlaid(source)
    small_curves(source)
    show_table(source, table)


show()
