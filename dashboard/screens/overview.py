"""Overview: which model, on which films, and how good is it in short?"""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cxrcore.findings import Kind
from cxrcore.metrics.operating_points import disease_of
from dashboard import computed, parts
from dashboard.charts.curves import Marks, forest_figure, prevalence_figure, training_figure
from dashboard.parts import ends, number, percent, span
from dashboard.sources.source import Source


def headlines(source: Source) -> list[tuple[str, str, str | None, str]]:
    """What to read first: label, value, interval, help."""
    metrics = source.metrics
    disease = disease_of(source.labels)
    found = []
    if disease is not None:
        scores = metrics["findings"][disease]
        found.append(
            _estimate(f"AUROC, {disease}", scores["auroc"], "Chance that a film with it outranks one without it.")
        )
        intervals = scores.get("intervals", {})
        at = f"At the threshold of {number(scores['threshold'])}."
        for name, words in (("sensitivity", "Share of films with it that are called."), ("specificity", "Share left.")):
            low, high = intervals.get(name, (None, None))
            found.append((name.capitalize(), percent(scores[name]), span(low, high, percent), f"{words} {at}"))
        low, high = metrics.get("intervals", {}).get("accuracy", (None, None))
        found.append(("Accuracy", percent(metrics.get("accuracy")), span(low, high, percent), at))
        return found
    macro = metrics["macro"]
    n = len(macro["auroc"].get("findings", source.labels))
    found.append(_estimate("Mean AUROC", macro["auroc"], f"Plain mean over {n} findings."))
    if micro := metrics.get("micro"):
        found.append(_estimate("Pooled AUROC", micro["auroc"], "All films and findings in one ranking (micro)."))
    if source.labels.kind is Kind.MULTICLASS:
        low, high = metrics.get("intervals", {}).get("accuracy", (None, None))
        found.append(("Accuracy", percent(metrics.get("accuracy")), span(low, high, percent), "The winner is right."))
    elif macro.get("f1") is not None:
        found.append(("Mean F1", number(macro["f1"]), "", "At each finding's own threshold."))
    if metrics.get("ece") is not None:
        expected = metrics.get("ece_expected")
        chance = "" if expected is None else f"{number(expected)} by chance"
        found.append(("Calibration error", number(metrics["ece"]), chance, "ECE, mean over findings; less is better."))
    return found


def _estimate(label: str, estimate: dict, words: str) -> tuple[str, str, str | None, str]:
    value, low, high = ends(estimate)
    why = f" {estimate['why']}." if estimate.get("why") else ""
    return label, number(value), span(low, high, number), f"{words} Interval: {estimate['method']}.{why}"


def scores_table(source: Source) -> pd.DataFrame:
    """A row a finding."""
    rows = []
    for name, scores in source.metrics["findings"].items():
        value, low, high = ends(scores["auroc"])
        rows.append(
            {
                "finding": name,
                "films_with": scores["n_pos"],
                "films_without": scores["n_neg"],
                "prevalence": scores.get("prevalence"),
                "auroc": value,
                "auroc_low": low,
                "auroc_high": high,
            }
        )
    return pd.DataFrame(rows).astype(dict.fromkeys(("prevalence", "auroc", "auroc_low", "auroc_high"), float))


def facts(source: Source) -> list[tuple[str, str]]:
    """What the model is, as far as its folder says."""
    config = source.config
    if config is None:
        return []
    told = config.provenance
    data = told.get("source") or {}
    prep = config.preprocessing
    points = config.operating_points
    films, patients = told.get("films", {}), told.get("patients", {})
    counts = ", ".join(f"{split} {n:,} films of {patients.get(split, n):,} patients" for split, n in films.items())
    calibration = {"platt": "Platt scaling, a line per finding", "temperature": "one temperature", "none": "none"}
    rows = [
        ("Cost", source.caveats.cost if source.caveats else ""),
        ("Network", f"{config.architecture}, {prep.height} × {prep.width} pixels"),
        ("Answers", ", ".join(parts.title(name) for name in config.labels)),
        ("Trained on", "; ".join(x for x in (data.get("title"), data.get("who")) if x) or told.get("dataset", "")),
        ("Data licence", data.get("license", "")),
        ("Films", counts),
        ("Began from", told.get("initial_weights", "")),
        ("Recipe", told.get("recipe", "")),
        ("Calibration", calibration.get(config.calibration.to_dict()["method"], "")),
        ("Thresholds", computed.chosen_by(points.rule, points.fitted_on) if points else "none"),
        ("Trained", told.get("trained_on", "")),
    ]
    return [(label, str(value)) for label, value in rows if value]


def show() -> None:
    source = parts.current_source()
    parts.page_head(
        "Which model is this, on which films, and how good is it in short?",
        "Below each score is its 95 % interval: where it would usually have fallen, had other patients come. Hold the "
        "pointer on a question mark to read what a number means.",
        source,
    )
    with st.container(horizontal=True, gap="small"):
        for label, value, interval, words in headlines(source):
            parts.card(label, value, interval, words)
    table = scores_table(source)
    names = [parts.title(name) for name in table["finding"]]
    left, right = st.columns(2, gap="medium")
    with left:
        st.subheader("AUROC by finding", anchor=False)
        drawn = table.dropna(subset="auroc")
        rows = [parts.title(name) for name in drawn["finding"]]
        marks = Marks(source.name, drawn["auroc"], drawn["auroc_low"], drawn["auroc_high"])
        floor = min(0.5, float(drawn["auroc_low"].min(skipna=True))) if len(drawn) else 0.5
        parts.chart(
            forest_figure(rows, [marks], "AUROC", 0.5, [floor - 0.02, 1.02]),
            "auroc",
            table,
            "AUROC of each finding with its interval",
            "0.5 is guessing, 1 is perfect. A long bar means few patients.",
        )
        for name, scores in source.metrics["findings"].items():
            if scores["auroc"]["value"] is None:
                st.caption(f"{parts.title(name)}: undefined, {scores['auroc']['why']}.")
    with right:
        st.subheader("How common each finding is", anchor=False)
        shares = {source.split or "these films": list(table["prevalence"])}
        if (validation := computed.validation_prevalence(source)) is not None:
            shares["validation"] = validation
        frame = pd.DataFrame({"finding": table["finding"], **shares})
        parts.chart(
            prevalence_figure(names, shares),
            "prevalence",
            frame,
            "Share of films with each finding",
            "Where a finding is rarer than here, a positive answer is worth less.",
        )
    training(source)
    if known := facts(source):
        with st.expander("What this model is", expanded=True):
            st.markdown("\n".join(f"- **{label}:** {parts.escape(value)}" for label, value in known))


def training(source: Source) -> None:
    """Training curves, where the folder has them."""
    rows = computed.history(source)
    if not rows:
        st.caption("No training history comes with these results.")
        return
    st.subheader("How it was trained", anchor=False)
    st.caption("Both losses should fall together; validation rising while training falls means learning by heart.")
    frame = pd.DataFrame(rows)
    left, right = st.columns(2, gap="medium")
    with left:
        series = {"train_loss": "training", "val_loss": "validation"}
        parts.chart(training_figure(rows, series, "Loss"), "loss", frame, "Training and validation loss by epoch")
    with right:
        figure = training_figure(rows, {"val_auroc": "validation"}, "Mean AUROC on validation")
        parts.chart(figure, "validation-auroc", frame, "Mean AUROC on validation films by epoch")


show()
