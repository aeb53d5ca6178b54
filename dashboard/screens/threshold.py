"""What happens at a threshold? Who is found, who is missed, who is alarmed for nothing."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.metrics.rates import Rates, predictive_values
from dashboard import computed, parts, state
from dashboard.charts.curves import benefit_figure, classes_figure, confusion_figure, pairs_figure, roc_figure
from dashboard.computed import BY_HAND, OWN
from dashboard.parts import ends, percent, with_interval
from dashboard.sources.source import Source

RULES = {  # family -> its words, and the value it starts with
    OWN: ("The reported threshold", None),
    "youden": ("Youden: sensitivity + specificity", None),
    "best_f1": ("Best F1", None),
    "sensitivity": ("Find at least this share", 0.95),
    "specificity": ("Leave alone at least this share", 0.90),
    "cost": ("A miss costs so many false alarms", 10.0),
    BY_HAND: ("By hand", None),
}
WORDS = {
    "sensitivity": ("Sensitivity", "Of the films with the finding, the share that is called."),
    "specificity": ("Specificity", "Of the films without it, the share that is left alone."),
    "ppv": ("PPV", "Of the films that are called, the share that has it, at the prevalence of these films."),
    "npv": ("NPV", "Of the films that are left alone, the share that is without it."),
    "f1": ("F1", "The harmonic mean of sensitivity and PPV."),
    "accuracy": ("Accuracy", "The share of films decided rightly; flattering where the finding is rare."),
}


def choose_rule(source: Source, finding: str) -> str:
    """The rule in question, as ``fit_operating_points`` spells it, or OWN, or BY_HAND."""
    families = [OWN] if source.metrics["findings"][finding]["threshold"] is not None else []
    families += [name for name in RULES if name not in (OWN, BY_HAND)] if computed.choosers(source) is not None else []
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

    st.selectbox("Chosen how", families, key="rule-family", on_change=chosen, format_func=lambda name: RULES[name][0])
    start = RULES[family][1]
    if start is None:
        return family
    value = _number(text, start)
    place = f"rule-value-{family}"
    st.session_state[place] = value

    def changed() -> None:
        state.write(rule=f"{family}={st.session_state[place]:g}")

    top, step = (1000.0, 1.0) if family == "cost" else (1.0, 0.01)
    st.number_input(RULES[family][0], 0.01 if top == 1 else 0.1, top, key=place, step=step, on_change=changed)
    return f"{family}={value:g}"


def choose_threshold(source: Source, finding: str, rule: str) -> float:
    """A slider that stands where the rule put it, until it is moved."""
    top = computed.highest(source, finding)
    step = 0.001 if top > 0.2 else 0.0001
    value: float | None
    if rule == BY_HAND:
        value = _number(state.read("threshold") or "", min(0.5, top))
    else:
        value, why = computed.threshold_of(source, finding, rule)
        if value is None:
            st.warning(f"No threshold: {why}.")
            value = min(0.5, top)
    st.session_state["threshold-slider"] = float(min(max(value, 0.0), top))

    def moved() -> None:
        state.write(threshold=f"{st.session_state['threshold-slider']:.6g}", rule=None)

    return st.slider(
        "Threshold: a film is called at this probability or above",
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
    scores, curves = source.metrics["findings"][finding], source.curves["findings"][finding]
    left, right = st.columns([1, 2], gap="medium", vertical_alignment="bottom")
    with left:
        rule = choose_rule(source, finding)
    with right:
        threshold = choose_threshold(source, finding, rule)
    if source.predictions is not None:
        found = computed.rates_at(source, finding, threshold, rule)
        if rule not in (OWN, BY_HAND):
            films = computed.choosers(source)
            assert films is not None
            st.caption(f"Chosen on {films.said}.")
    else:
        threshold, found = computed.rates_on_curve(source, finding, threshold, rule)
        if rule != OWN:
            st.caption(
                f"These results come without a table of films: this is the stored curve's next point, at "
                f"{threshold:.3f}, and intervals take films as independent."
            )
    stated = source.metrics.get("operating_points")
    if rule == OWN and stated:
        st.caption(f"{computed.chosen_by(stated.get('rule'), stated.get('fitted_on'))}.")
    with st.container(horizontal=True, gap="small"):
        for name, (label, words) in WORDS.items():
            estimate = found.estimates[name]
            method = f"Interval: {estimate.method}." if estimate.value is not None else f"Undefined: {estimate.why}."
            interval = parts.span(estimate.low, estimate.high, percent)
            parts.card(label, percent(estimate.value), interval, f"{words} {method}", width=116)
    left, right = st.columns(2, gap="medium")
    name = parts.title(finding)
    with left:
        st.markdown(f"**Who is called, of {found.tp + found.fn:,} films with and {found.fp + found.tn:,} without**")
        parts.chart(
            confusion_figure(found.tp, found.fp, found.fn, found.tn, parts.dark()),
            f"confusion-{finding}",
            lambda: rates_frame(finding, threshold, found),
            f"Found {found.tp}, missed {found.fn}, false alarms {found.fp}, rightly left {found.tn}",
        )
    with right:
        st.markdown("**Where that is on the ROC curve**")
        if curves["roc"] is None or found.specificity.value is None or found.sensitivity.value is None:
            parts.missing(scores["auroc"].get("why"))
        else:
            point = 1 - found.specificity.value, found.sensitivity.value
            parts.chart(
                roc_figure(curves["roc"], name, point=point, height=300, label=f"threshold {threshold:.3f}"),
                f"point-{finding}",
                lambda: rates_frame(finding, threshold, found),
                f"The threshold finds {percent(found.sensitivity.value)} with {percent(point[0])} false alarms",
            )
    elsewhere(finding, found)


def elsewhere(finding: str, found: Rates) -> None:
    """What the same threshold is worth where the finding is rarer or commoner."""
    st.markdown("**What a call is worth where you work**")
    known = found.tp + found.fp + found.fn + found.tn
    own = 100 * ((found.tp + found.fn) / known if known else 0.1)
    left, right = st.columns([1, 2], gap="medium")
    with left:
        share = st.number_input(
            "Films with the finding there, in %",
            0.01,
            99.99,
            value=round(min(max(own, 0.01), 99.99), 2),
            step=1.0,
            key=f"share-{finding}",
        )
    ppv, npv = predictive_values(found, share / 100)
    with right:
        if ppv.value is None or npv.value is None:
            parts.missing(ppv.why or npv.why)
            return
        values = f"PPV **{with_interval(ppv, percent)}**, NPV **{with_interval(npv, percent)}**."
        st.markdown(f"{values} {_in_a_thousand(found, share / 100)}")
        st.caption(
            f"Of these films {own:.1f} % have it. Sensitivity and specificity are supposed to be the same elsewhere."
        )


def _in_a_thousand(found: Rates, share: float) -> str:
    """The same in numbers of films."""
    assert found.sensitivity.value is not None
    assert found.specificity.value is not None
    ill = 1000 * share
    hit, alarm = ill * found.sensitivity.value, (1000 - ill) * (1 - found.specificity.value)
    return (
        f"Of 1,000 films there, about {hit + alarm:,.0f} are called, {hit:,.0f} of them rightly, and {ill - hit:,.0f} "
        f"of {ill:,.0f} with the finding are missed."
    )


def rates_frame(finding: str, threshold: float, found: Rates) -> pd.DataFrame:
    """Counts and rates, a row each."""
    rows: list[dict] = [
        {"finding": finding, "threshold": threshold, "name": name, "value": getattr(found, name)}
        for name in ("tp", "fp", "fn", "tn")
    ]
    for name, estimate in found.estimates.items():
        value, low, high = ends(estimate)
        row = {"finding": finding, "threshold": threshold, "name": name, "value": value, "low": low, "high": high}
        rows.append(row | {"method": estimate.method})
    return pd.DataFrame(rows)


def worth_acting(source: Source, finding: str) -> None:
    """The decision curve, where it was stored or can be computed."""
    curve = source.curves["findings"][finding].get("decision")
    if curve is None:
        return
    st.subheader("Is acting on it worth while?", anchor=False)
    parts.chart(
        benefit_figure(curve),
        f"benefit-{finding}",
        lambda: pd.DataFrame({key: value for key, value in curve.items() if key != "prevalence"}),
        "Net benefit of the model, of acting on everybody and on nobody, by threshold",
        "A threshold of 10 % says that a miss is worth nine false alarms. The model helps where its line lies above "
        "both others (net benefit, Vickers and Elkin 2006).",
    )


def between_findings(source: Source) -> None:
    """Exclusive classes in a matrix; findings that go together, and that stand behind false alarms."""
    names = source.labels.names
    shown = [parts.title(name) for name in names]
    if source.multiclass:
        if source.metrics.get("confusion") is not None:
            st.subheader("Which class is taken for which", anchor=False)
            counts = np.array(source.metrics["confusion"])
            rule = "at the reported threshold" if source.labels.binary else "the most probable class decides"
            parts.chart(
                classes_figure(shown, counts, parts.dark()),
                "classes",
                pd.DataFrame(counts, columns=list(names)).assign(true=list(names)),
                "True class by decided class",
                f"A row is a true class, its shares sum to 100 % ({rule}). The diagonal is right.",
            )
        return
    st.subheader("Findings that go together, and that are mistaken for one another", anchor=False)
    if source.predictions is None:
        parts.needs_table("Which findings go together", source)
        return
    if len(names) < 2:
        st.caption("There is one finding only.")
        return
    kinds = ["Together in truth", "Behind false alarms"]
    kind = st.segmented_control(
        "Shown", kinds, default=kinds[0], required=True, key="pairs-kind", label_visibility="collapsed"
    )
    if kind == kinds[0]:
        matrix = computed.together(source)
        values = matrix.shares.copy()
        np.fill_diagonal(values, np.nan)
        text = [["" if math.isnan(v) else f"{100 * v:.0f}" for v in row] for row in values]
        parts.chart(
            pairs_figure(shown, values, text, "also have", "Films with", parts.dark()),
            "together",
            lambda: _pairs(names, {"both": matrix.counts, "finding_known": matrix.films, "share": matrix.shares}),
            "Of the films with the row's finding, the share that has the column's",
            "Of the films with the row's finding, how many in a hundred have the column's too.",
        )
        return
    found = computed.mistakes(source)
    if found is None:
        st.info("No thresholds are known for these findings, so there are no false alarms to look behind.")
        return
    lift = np.where(found.alarms >= 20, found.lift, np.nan)
    text = [["" if math.isnan(v) else f"{v:.1f}" for v in row] for row in lift]
    parts.chart(
        pairs_figure(shown, np.minimum(lift, 5), text, "truly there", "Falsely called", parts.dark()),
        "mistaken",
        lambda: _pairs(
            names,
            {"false_alarms": found.alarms, "with_other": found.present, "share": found.share, "base": found.base},
        ),
        "Behind false alarms for the row's finding, how much commoner the column's is than elsewhere",
        "3.0: where the row's finding is called wrongly, the column's is there three times as often as on other films "
        "without the row's. Blank under 20 false alarms.",
    )


def _pairs(names: tuple[str, ...], columns: dict[str, np.ndarray]) -> pd.DataFrame:
    """Matrices (C, C) as a row a pair."""
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
    source = parts.current_source()
    parts.page_head(
        "What happens at a threshold: who is found, who is missed, who is alarmed for nothing?",
        "A lower threshold finds more and alarms more. Which is right depends on what a miss costs, not on the model.",
        source,
    )
    finding = parts.finding_picker(source)
    scores = source.metrics["findings"][finding]
    if scores["n_pos"] + scores["n_neg"] == 0:
        parts.missing("no film has a known label")
    elif source.predictions is None and source.curves["findings"][finding]["roc"] is None:
        parts.missing(scores["auroc"].get("why"))
    else:
        at_a_threshold(source, finding)
        worth_acting(source, finding)
    between_findings(source)


show()
