"""Decisions at a threshold: sensitivity, specificity, predictive values, and the films behind them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.metrics.rates import Rates, predictive_values
from dashboard import computed, parts, state, thresholds
from dashboard.charts.confusion import classes_figure, confusion_figure, pairs_figure
from dashboard.charts.decision_curve import benefit_figure
from dashboard.charts.roc_pr import roc_figure
from dashboard.parts import PERCENT
from dashboard.sources.source import Source
from dashboard.thresholds import BY_HAND, OWN

RULES: dict[str, tuple[str, float | None]] = {  # family -> its label, and the value it starts with
    OWN: ("Reported threshold", None),
    "youden": ("Youden: sensitivity + specificity", None),
    "best_f1": ("Best F1", None),
    "sensitivity": ("Sensitivity of at least", 0.95),
    "specificity": ("Specificity of at least", 0.90),
    "cost": ("Cost of a miss, in false alarms", 10.0),
    BY_HAND: ("By hand", None),
}
RATES = {
    "sensitivity": ("Sensitivity", "Of the films with the finding, the share that is called positive (found)."),
    "specificity": ("Specificity", "Of the films without it, the share that is called negative."),
    "ppv": ("PPV", "Positive predictive value: of the films called positive, the share with the finding, at the "
            "prevalence of these films."),
    "npv": ("NPV", "Negative predictive value: of the films called negative, the share without the finding."),
    "f1": ("F1", "The harmonic mean of sensitivity and PPV."),
    "accuracy": ("Accuracy", "The share of films called correctly; flattering where the finding is rare."),
}  # fmt: skip
TOGETHER, BEHIND = "Findings together", "Behind false positives"


def choose_rule(source: Source, finding: str) -> str:
    """The chosen rule, as ``fit_operating_points`` spells it, or OWN, or BY_HAND."""
    families = [OWN] if source.scores[finding].threshold is not None else []
    families += [name for name in RULES if name not in (OWN, BY_HAND)] if thresholds.tuning(source) is not None else []
    families.append(BY_HAND)
    rule = BY_HAND if state.read("threshold") else state.read("rule") or families[0]
    family, _, text = rule.partition("=")
    if family not in families:
        rule = family = families[0]
    st.session_state["rule-family"] = family

    def chosen() -> None:
        name = st.session_state["rule-family"]
        start = RULES[name][1]
        by_hand = str(st.session_state.get("threshold-slider", 0.5)) if name == BY_HAND else None
        state.write(rule=None if name == BY_HAND else name if start is None else f"{name}={start:g}", threshold=by_hand)

    st.selectbox("Rule", families, key="rule-family", on_change=chosen, format_func=lambda name: RULES[name][0])
    start = RULES[family][1]
    if start is None:
        return family
    value = _number(text, start)
    key = f"rule-value-{family}"
    st.session_state[key] = value

    def changed() -> None:
        state.write(rule=f"{family}={st.session_state[key]:g}")

    top, step = (1000.0, 1.0) if family == "cost" else (1.0, 0.01)
    st.number_input(RULES[family][0], 0.01 if top == 1 else 0.1, top, key=key, step=step, on_change=changed)
    return f"{family}={value:g}"


def choose_threshold(source: Source, finding: str, rule: str) -> float:
    """A slider that starts at the rule's threshold, until it is moved."""
    top = thresholds.slider_end(source, finding)
    step = 0.001 if top > 0.2 else 0.0001
    value: float | None
    if rule == BY_HAND:
        value = _number(state.read("threshold") or "", min(0.5, top))
    else:
        value, why = thresholds.threshold_of(source, finding, rule)
        if value is None:
            st.warning(f"No threshold: {why}.")
            value = min(0.5, top)
    st.session_state["threshold-slider"] = float(min(max(value, 0.0), top))

    def moved() -> None:
        state.write(threshold=f"{st.session_state['threshold-slider']:.6g}", rule=None)

    return st.slider(
        "Threshold: a film is called positive at this probability or above",
        0.0,
        top,
        key="threshold-slider",
        step=step,
        format="%.4f" if step < 0.001 else "%.3f",
        on_change=moved,
    )


@st.fragment
def at_a_threshold(source: Source, finding: str) -> None:
    """Everything that moves with the slider; only this runs again when it does."""
    left, right = st.columns([1, 2], gap="medium", vertical_alignment="bottom")
    with left:
        rule = choose_rule(source, finding)
    with right:
        threshold = choose_threshold(source, finding, rule)
    threshold, rates = _rates(source, finding, threshold, rule)
    with st.container(horizontal=True, gap="small"):
        for name, (label, words) in RATES.items():
            estimate = rates.estimates[name]
            method = f"Interval: {estimate.method}." if estimate.value is not None else f"Undefined: {estimate.why}."
            parts.estimate_card(label, estimate, f"{words} {method}", PERCENT, width=116)
    left, right = st.columns(2, gap="medium")
    with left:
        _confusion(finding, threshold, rates)
    with right:
        _point_on_roc(source, finding, threshold, rates)
    elsewhere(finding, rates)


def _rates(source: Source, finding: str, threshold: float, rule: str) -> tuple[float, Rates]:
    """The threshold and its rates, from the table or else from the stored curve; says which films it is based on."""
    if source.predictions is not None:
        rates = thresholds.rates_at(source, finding, threshold, rule)
        films = None if rule in (OWN, BY_HAND) else thresholds.tuning(source)
        if films is not None:
            st.caption(f"Chosen on {films.description}.")
    else:
        threshold, rates = thresholds.rates_on_curve(source, finding, threshold, rule)
        if rule != OWN:
            st.caption(
                f"These results come without a table of films: this is the stored curve's next point, at "
                f"{threshold:.3f}, and intervals take films as independent."
            )
    reported = source.metrics.operating_points
    if rule == OWN and reported:
        st.caption(f"{thresholds.chosen_by(reported.get('rule'), reported.get('fitted_on'))}.")
    return threshold, rates


def _confusion(finding: str, threshold: float, rates: Rates) -> None:
    positive, negative = rates.tp + rates.fn, rates.fp + rates.tn
    st.markdown(f"**Confusion matrix** · {positive:,} films with the finding, {negative:,} without")
    parts.chart(
        confusion_figure(rates.tp, rates.fp, rates.fn, rates.tn, parts.dark()),
        f"confusion-{finding}",
        lambda: rates_frame(finding, threshold, rates),
        f"True positives {rates.tp}, false negatives {rates.fn}, false positives {rates.fp}, true negatives {rates.tn}",
    )


def _point_on_roc(source: Source, finding: str, threshold: float, rates: Rates) -> None:
    st.markdown("**Threshold on the ROC curve**")
    curve = source.curves["findings"][finding]["roc"]
    if curve is None or rates.specificity.value is None or rates.sensitivity.value is None:
        parts.missing(source.scores[finding].auroc.why)
        return
    point = 1 - rates.specificity.value, rates.sensitivity.value
    parts.chart(
        roc_figure(curve, parts.title(finding), point=point, height=300, label=f"threshold {threshold:.3f}"),
        f"point-{finding}",
        lambda: rates_frame(finding, threshold, rates),
        f"Sensitivity {PERCENT.number(point[1])} at a false positive rate of {PERCENT.number(point[0])}",
    )


def elsewhere(finding: str, rates: Rates) -> None:
    """Predictive values of the same threshold at another prevalence."""
    st.markdown("**Predictive values where you work**")
    known = rates.tp + rates.fp + rates.fn + rates.tn
    own = 100 * ((rates.tp + rates.fn) / known if known else 0.1)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        share = st.number_input(
            "Prevalence there, in %",
            0.01,
            99.99,
            value=round(min(max(own, 0.01), 99.99), 2),
            step=1.0,
            key=f"share-{finding}",
            help="The share of films with the finding.",
        )
    ppv, npv = predictive_values(rates, share / 100)
    with right:
        if ppv.value is None or npv.value is None:
            parts.missing(ppv.why or npv.why)
            return
        values = f"PPV **{PERCENT.estimate(ppv)}**, NPV **{PERCENT.estimate(npv)}**."
        st.markdown(f"{values} {_in_a_thousand(rates, share / 100)}")
        st.caption(
            f"Of these films {own:.1f} % have the finding. This assumes sensitivity and specificity do not change."
        )


def _in_a_thousand(rates: Rates, share: float) -> str:
    """The same in numbers of films."""
    assert rates.sensitivity.value is not None
    assert rates.specificity.value is not None
    positive = 1000 * share
    hits, alarms = positive * rates.sensitivity.value, (1000 - positive) * (1 - rates.specificity.value)
    return (
        f"Of 1,000 films there, about {hits + alarms:,.0f} are called positive, {hits:,.0f} of them correctly, and "
        f"{positive - hits:,.0f} of {positive:,.0f} with the finding are missed."
    )


def rates_frame(finding: str, threshold: float, rates: Rates) -> pd.DataFrame:
    """Counts and rates, a row each."""
    start = {"finding": finding, "threshold": threshold}
    rows: list[dict[str, Any]] = [
        {**start, "name": name, "value": getattr(rates, name)} for name in ("tp", "fp", "fn", "tn")
    ]
    for name, one in rates.estimates.items():
        rows.append({**start, "name": name, "value": one.value, "low": one.low, "high": one.high, "method": one.method})
    return pd.DataFrame(rows)


def net_benefit(source: Source, finding: str) -> None:
    """The decision curve, where it was stored or can be computed."""
    curve = source.curves["findings"][finding].get("decision")
    if curve is None:
        return
    st.subheader("Net benefit (decision curve)", anchor=False)
    parts.chart(
        benefit_figure(curve),
        f"benefit-{finding}",
        lambda: pd.DataFrame({key: value for key, value in curve.items() if key != "prevalence"}),
        "Net benefit of the model, of calling all films positive and of calling none, by threshold",
        "A threshold of 10 % means that a miss costs as much as nine false alarms. The model helps where its line lies "
        "above both others (Vickers and Elkin 2006).",
    )


def between_findings(source: Source) -> None:
    """The confusion matrix of exclusive classes; else findings that occur together or behind false positives."""
    if source.multiclass:
        _classes(source)
        return
    st.subheader("Findings together, and findings mistaken for one another", anchor=False)
    if source.predictions is None:
        parts.needs_table("Which findings occur together", source)
    elif len(source.labels.names) < 2:
        st.caption("There is one finding only.")
    else:
        kinds = [TOGETHER, BEHIND]
        kind = st.segmented_control(
            "Shown", kinds, default=TOGETHER, required=True, key="pairs-kind", label_visibility="collapsed"
        )
        (_together if kind == TOGETHER else _behind_false_positives)(source)


def _classes(source: Source) -> None:
    if source.metrics.confusion is None:
        return
    names = list(source.labels.names)
    counts = np.array(source.metrics.confusion)
    rule = "at the reported threshold" if source.labels.binary else "the most probable class decides"
    st.subheader("Confusion matrix of the classes", anchor=False)
    parts.chart(
        classes_figure([parts.title(name) for name in names], counts, parts.dark()),
        "classes",
        pd.DataFrame(counts, columns=names).assign(true=names),
        "True class by predicted class",
        f"A row is a true class, its shares sum to 100 % ({rule}). The diagonal is correct.",
    )


def _together(source: Source) -> None:
    names, matrix = source.labels.names, computed.together(source)
    values = matrix.shares.copy()
    np.fill_diagonal(values, np.nan)
    text = [["" if math.isnan(v) else f"{100 * v:.0f}" for v in row] for row in values]
    shown = [parts.title(name) for name in names]
    parts.chart(
        pairs_figure(shown, values, text, "also have", "Films with", parts.dark()),
        "together",
        lambda: _pairs(names, {"both": matrix.counts, "finding_known": matrix.films, "share": matrix.shares}),
        "Of the films with the row's finding, the share that has the column's",
        "Of 100 films with the row's finding, how many have the column's too.",
    )


def _behind_false_positives(source: Source) -> None:
    names, mistakes = source.labels.names, computed.mistakes(source)
    if mistakes is None:
        st.info("No thresholds are known for these findings, so there are no false positives to look behind.")
        return
    lift = np.where(mistakes.alarms >= 20, mistakes.lift, np.nan)
    text = [["" if math.isnan(v) else f"{v:.1f}" for v in row] for row in lift]
    shown = [parts.title(name) for name in names]
    columns = {
        "false_alarms": mistakes.alarms,
        "with_other": mistakes.present,
        "share": mistakes.share,
        "base": mistakes.base,
    }
    parts.chart(
        pairs_figure(shown, np.minimum(lift, 5), text, "have in truth", "False positives for", parts.dark()),
        "mistaken",
        lambda: _pairs(names, columns),
        "Among false positives for the row's finding, how much more common the column's is than elsewhere",
        "3.0: false positives for the row's finding have the column's three times as often as other films without the "
        "row's. Blank under 20 false positives.",
    )


def _pairs(names: tuple[str, ...], columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Matrices (C, C) as a row per pair."""
    first, second = np.repeat(names, len(names)), np.tile(names, len(names))
    flat = {key: value.reshape(-1) for key, value in columns.items()}
    return pd.DataFrame({"finding": first, "other": second} | flat)


def _number(text: str, otherwise: float) -> float:
    try:
        value = float(text)
    except ValueError:
        return otherwise
    return value if math.isfinite(value) else otherwise


def show() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(
        "What happens at a threshold?",
        "A lower threshold finds more (higher sensitivity) and raises more false alarms (lower specificity). Which is "
        "right depends on what a miss costs, not on the model.",
        source,
    )
    finding = parts.finding_picker(source)
    scores = source.scores[finding]
    if scores.n_pos + scores.n_neg == 0:
        parts.missing("no film has a known label")
    elif source.predictions is None and source.curves["findings"][finding]["roc"] is None:
        parts.missing(scores.auroc.why)
    else:
        at_a_threshold(source, finding)
        net_benefit(source, finding)
    between_findings(source)


show()
