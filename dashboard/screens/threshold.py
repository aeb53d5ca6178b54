"""Decisions at a threshold: sensitivity, specificity, predictive values, and the films behind them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.metrics.rates import Rates, predictive_values
from dashboard import computed, parts, state, thresholds
from dashboard.between_findings import between_findings
from dashboard.charts.confusion import confusion_figure
from dashboard.charts.decision_curve import benefit_figure
from dashboard.charts.rates import rates_figure
from dashboard.charts.roc_pr import roc_figure
from dashboard.parts import PERCENT
from dashboard.sources.source import Source
from dashboard.thresholds import BY_HAND, MOST_PROBABLE, OWN, Decision

RULES: dict[str, tuple[str, float | None]] = {  # family -> its label, and the value it starts with
    OWN: ("Reported threshold", None),
    MOST_PROBABLE: ("Most probable class", None),
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


def choose_rule(source: Source, finding: str, made: Decision) -> None:
    """Draw the menu of rules, and a field for the number of one that has a number."""
    family, _, text = made.rule.partition("=")
    st.session_state["rule-family"] = family

    def chosen() -> None:
        name = st.session_state["rule-family"]
        start = RULES[name][1]
        if name == BY_HAND:
            by_hand = f"{0.5 if made.threshold is None else made.threshold:.6g}"
            state.write(rule=None, finding=finding, threshold=by_hand)
        else:
            state.write(rule=name if start is None else f"{name}={start:g}", threshold=None)

    st.selectbox(
        "Rule",
        thresholds.families(source, finding),
        key="rule-family",
        on_change=chosen,
        format_func=lambda name: RULES[name][0],
        help="The rule holds for every finding and on every page; a threshold by hand holds for one finding.",
    )
    if RULES[family][1] is None:
        return
    key = f"rule-value-{family}"
    st.session_state[key] = float(text)

    def changed() -> None:
        state.write(rule=f"{family}={st.session_state[key]:g}")

    top, step = (1000.0, 1.0) if family == "cost" else (1.0, 0.01)
    st.number_input(RULES[family][0], 0.01 if top == 1 else 0.1, top, key=key, step=step, on_change=changed)


def choose_threshold(source: Source, finding: str, made: Decision) -> None:
    """Draw a slider that starts at the rule's threshold, until it is moved; none where the likeliest class decides."""
    if made.threshold is None:
        return
    top = thresholds.slider_end(source, finding)
    step = 0.001 if top > 0.2 else 0.0001
    st.session_state["threshold-slider"] = float(min(max(made.threshold, 0.0), top))

    def moved() -> None:
        state.write(finding=finding, threshold=f"{st.session_state['threshold-slider']:.6g}", rule=None)

    st.slider(
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
    made = thresholds.decision(source, finding)
    left, right = st.columns([1, 2], gap="medium", vertical_alignment="bottom")
    with left:
        choose_rule(source, finding, made)
    with right:
        choose_threshold(source, finding, made)
    made, rates = thresholds.rates(source, finding, made)
    _on_which_films(source, made)
    with st.container(horizontal=True, gap="small"):
        for name, (label, words) in RATES.items():
            estimate = rates.estimates[name]
            method = f"Interval: {estimate.method}." if estimate.value is not None else f"Undefined: {estimate.why}."
            parts.estimate_card(label, estimate, f"{words} {method}", PERCENT, width=116)
    left, right = st.columns(2, gap="medium")
    with left:
        _confusion(finding, made, rates)
    with right:
        _point_on_roc(source, finding, made, rates)
    elsewhere(finding, rates)
    by_threshold(source, finding, made)
    every_finding(source)


def _on_which_films(source: Source, made: Decision) -> None:
    if made.why:
        st.warning(thresholds.described(source, made))
    elif made.rule != BY_HAND and (words := thresholds.described(source, made)):
        st.caption(words)
    if source.predictions is None and made.rule not in (OWN, MOST_PROBABLE):
        st.caption(
            f"These results come without a table of films: this is the stored curve's next point, at "
            f"{made.threshold:.3f}, and intervals take films as independent."
        )


def _confusion(finding: str, made: Decision, rates: Rates) -> None:
    positive, negative = rates.tp + rates.fn, rates.fp + rates.tn
    st.markdown(f"**Confusion matrix** · {positive:,} films with the finding, {negative:,} without")
    parts.chart(
        confusion_figure(rates.tp, rates.fp, rates.fn, rates.tn, parts.dark()),
        f"confusion-{finding}",
        lambda: rates_frame(finding, made.threshold, rates),
        f"True positives {rates.tp}, false negatives {rates.fn}, false positives {rates.fp}, true negatives {rates.tn}",
    )


def _point_on_roc(source: Source, finding: str, made: Decision, rates: Rates) -> None:
    st.markdown("**Threshold on the ROC curve**")
    curve = source.curves["findings"][finding]["roc"]
    if curve is None or rates.specificity.value is None or rates.sensitivity.value is None:
        parts.missing(source.scores[finding].auroc.why)
        return
    point = 1 - rates.specificity.value, rates.sensitivity.value
    label = "the most probable class" if made.threshold is None else f"threshold {made.threshold:.3f}"
    parts.chart(
        roc_figure(curve, parts.title(finding), point=point, height=300, label=label),
        f"point-{finding}",
        lambda: rates_frame(finding, made.threshold, rates),
        f"Sensitivity {PERCENT.number(point[1])} at a false positive rate of {PERCENT.number(point[0])}",
    )


def elsewhere(finding: str, rates: Rates) -> None:
    """Predictive values of the same threshold at another prevalence."""
    st.markdown("**Predictive values where you work**")
    known = rates.tp + rates.fp + rates.fn + rates.tn
    own = round(min(max(100 * (rates.tp + rates.fn) / known if known else 10.0, 0.01), 99.99), 2)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        share = st.number_input(
            "Prevalence there, in %",
            0.01,
            99.99,
            step=1.0,
            help="The share of films with the finding.",
            **state.kept("prevalence", own, state.number_in(0.01, 99.99), "{:g}".format, widget=f"share-{finding}"),
        )
    here = share == own
    ppv, npv = (rates.ppv, rates.npv) if here else predictive_values(rates, share / 100)
    with right:
        if ppv.value is None or npv.value is None:
            parts.missing(ppv.why or npv.why)
            return
        values = f"PPV **{PERCENT.estimate(ppv)}**, NPV **{PERCENT.estimate(npv)}**."
        st.markdown(f"{values} {_in_a_thousand(rates, share / 100)}")
        st.caption(
            f"As measured: {own:g} % of these films have the finding. Give the prevalence where you work."
            if here
            else f"Of these films {own:g} % have the finding. This assumes that sensitivity and specificity do not "
            "change, and takes the prevalence as exact, so the intervals are those of the two rates alone."
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


def by_threshold(source: Source, finding: str, made: Decision) -> None:
    """Sensitivity, specificity and PPV as curves over the threshold."""
    along = computed.along_thresholds(source, finding, made.rule)
    if along is None:
        return
    cuts, estimates = along
    values = {
        name: np.array([np.nan if one.value is None else one.value for one in each]) for name, each in estimates.items()
    }
    st.subheader("Rates by threshold", anchor=False)
    parts.chart(
        rates_figure(
            cuts,
            values,
            {name: computed.band(cuts, each) for name, each in estimates.items()},
            made.threshold,
            thresholds.slider_end(source, finding),
        ),
        f"rates-{finding}",
        lambda: pd.DataFrame(
            {"threshold": cuts}
            | {
                name + suffix: [getattr(one, end) for one in each]
                for name, each in estimates.items()
                for suffix, end in (("", "value"), ("_low", "low"), ("_high", "high"))
            }
        ),
        f"Sensitivity, specificity and PPV of {parts.title(finding)} by threshold",
        "Shaded: 95 % intervals. A higher threshold raises fewer alarms and misses more; PPV is that of these films' "
        "prevalence." + " The dashed line is the threshold in use." * (made.threshold is not None),
    )


def every_finding(source: Source) -> None:
    """Thresholds and rates of all findings as a table."""
    table = threshold_table(source)
    if table.empty:
        return
    st.subheader("Every finding at its threshold", anchor=False)
    st.caption(
        "In brackets: 95 % intervals. Alarms are films called positive, right or wrong, of 100 films like these. Press "
        "a column's head to sort by it."
    )
    number = st.column_config.NumberColumn
    st.dataframe(
        _shown(table),
        hide_index=True,
        height="content",
        column_config={
            "finding": st.column_config.TextColumn("Finding", pinned=True, width=112),
            "threshold": number("Threshold", format="%.3f", width=76),
            **{name: st.column_config.TextColumn(label, width=118) for name, label in _IN_TABLE.items()},
        },
    )
    parts.numbers_as_csv(table, "thresholds")
    for name, scores in source.scores.items():
        if name not in set(table["finding"]):
            st.caption(f"{parts.title(name)}: undefined, {scores.auroc.why}.")


_IN_TABLE = {
    "sensitivity": "Sensitivity, %",
    "specificity": "Specificity, %",
    "ppv": "PPV, %",
    "npv": "NPV, %",
    "alarms": "Alarms per 100",
}


def threshold_table(source: Source) -> pd.DataFrame:
    """A row per finding: its threshold, the rule behind it, and the rates with their intervals, in [0, 1]."""
    rows = []
    for name, (made, rates, alarms) in thresholds.every_rate(source).items():
        row: dict[str, Any] = {"finding": name, "threshold": made.threshold, "rule": made.rule}
        row |= {"films_with": rates.tp + rates.fn, "films_without": rates.fp + rates.tn}
        for key in _IN_TABLE:
            estimate = alarms if key == "alarms" else rates.estimates[key]
            row |= {key: estimate.value, f"{key}_low": estimate.low, f"{key}_high": estimate.high}
        rows.append(row)
    return parts.scores_frame(rows, "rule", "films_with", "films_without")


def _shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table with each rate and its interval as one text, padded so that texts sort as their numbers do."""
    shown = table[["finding", "threshold"]].assign(finding=[parts.title(n) for n in table["finding"]])
    for key in _IN_TABLE:
        ends = table[[key, f"{key}_low", f"{key}_high"]].itertuples(index=False)
        shown[key] = ["" if math.isnan(value) else _padded(value, low, high) for value, low, high in ends]
    return shown


def _padded(value: float, low: float, high: float) -> str:
    interval = "" if math.isnan(low) or math.isnan(high) else f" ({100 * low:.1f}–{100 * high:.1f})"
    return f"{100 * value:5.1f}{interval}"


def rates_frame(finding: str, threshold: float | None, rates: Rates) -> pd.DataFrame:
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
