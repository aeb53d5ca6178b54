"""Overview: the model, its films, and its main scores."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd
import streamlit as st

from cxrcore.bundle.config import BundleConfig
from cxrcore.evaluation.record import FindingMetrics, Metrics
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.operating_points import disease_of
from dashboard import computed, parts, thresholds
from dashboard.charts.forest import Row, Series, forest
from dashboard.charts.training import prevalence_figure, training_figure
from dashboard.parts import NUMBER, PERCENT
from dashboard.sources.source import Source


class Headline(NamedTuple):
    """What a card shows."""

    label: str
    value: str
    below: str  # its interval, or another short text
    words: str


def headlines(source: Source) -> list[Headline]:
    """The numbers to read first."""
    disease = disease_of(source.labels)
    if disease is not None:
        return _of_one_disease(source.metrics, disease)
    metrics = source.metrics
    cards = [
        _auroc("Mean AUROC", metrics.macro.auroc, f"Unweighted mean over {_findings_averaged(source)} findings."),
    ]
    if metrics.micro is not None:
        cards.append(_auroc("Pooled AUROC", metrics.micro.auroc, "All films and findings in one ranking (micro)."))
    if source.multiclass:
        cards.append(_rate(metrics, "accuracy", "Share of films whose most probable class is the true one."))
    elif metrics.macro.f1 is not None:
        cards.append(Headline("Mean F1", NUMBER.number(metrics.macro.f1), "", "At each finding's own threshold."))
    if metrics.ece is not None:
        chance = "" if metrics.ece_expected is None else f"{NUMBER.number(metrics.ece_expected)} by chance"
        words = "Expected calibration error (ECE), mean over findings; lower is better."
        cards.append(Headline("Calibration error", NUMBER.number(metrics.ece), chance, words))
    return cards


def _of_one_disease(metrics: Metrics, disease: str) -> list[Headline]:
    scores = metrics.findings[disease]
    at = f"At the threshold of {NUMBER.number(scores.threshold)}."
    return [
        _auroc(f"AUROC, {disease}", scores.auroc, "Chance that a film with it gets a higher score than one without."),
        _rate(scores, "sensitivity", f"Share of films with it that are called positive (found). {at}"),
        _rate(scores, "specificity", f"Share of films without it that are called negative. {at}"),
        _rate(metrics, "accuracy", f"Share of films that are called correctly. {at}"),
    ]


def _rate(scores: Metrics | FindingMetrics, name: str, words: str) -> Headline:
    rate = scores.rate(name)
    return Headline(name.capitalize(), PERCENT.number(rate.value), PERCENT.interval(rate.low, rate.high), words)


def _auroc(label: str, estimate: Estimate, words: str) -> Headline:
    why = f" {estimate.why}." if estimate.why else ""
    interval = NUMBER.interval(estimate.low, estimate.high)
    return Headline(label, NUMBER.number(estimate.value), interval, f"{words} Interval: {estimate.method}.{why}")


def _findings_averaged(source: Source) -> int:
    names = source.metrics.macro.auroc_findings
    return len(source.labels if names is None else names)


def scores_table(source: Source) -> pd.DataFrame:
    """A row per finding."""
    rows = [
        {
            "finding": name,
            "films_with": scores.n_pos,
            "films_without": scores.n_neg,
            "prevalence": scores.prevalence,
            "auroc": scores.auroc.value,
            "auroc_low": scores.auroc.low,
            "auroc_high": scores.auroc.high,
        }
        for name, scores in source.scores.items()
    ]
    return parts.scores_frame(rows, "films_with", "films_without")


def facts(source: Source) -> list[tuple[str, str]]:
    """Facts about the model, as far as its folder holds them."""
    config = source.config
    if config is None:
        return []
    provenance = config.provenance
    data = provenance.get("source") or {}
    points, size = config.operating_points, config.preprocessing
    calibration = {"platt": "Platt scaling, a line per finding", "temperature": "one temperature", "none": "none"}
    rows = [
        ("Cost", source.notices.cost if source.notices else ""),
        ("Network", f"{config.architecture}, {size.height} × {size.width} pixels"),
        ("Findings", ", ".join(parts.title(name) for name in config.labels)),
        (
            "Trained on",
            "; ".join(x for x in (data.get("title"), data.get("who")) if x) or provenance.get("dataset", ""),
        ),
        ("Data licence", data.get("license", "")),
        ("Films", _films(config)),
        ("Initial weights", provenance.get("initial_weights", "")),
        ("Recipe", provenance.get("recipe", "")),
        ("Calibration", calibration.get(config.calibration.to_dict()["method"], "")),
        ("Thresholds", thresholds.chosen_by(points.rule, points.fitted_on) if points else "none"),
        ("Date of training", provenance.get("trained_on", "")),
    ]
    return [(label, str(value)) for label, value in rows if value]


def _films(config: BundleConfig) -> str:
    films, patients = config.provenance.get("films", {}), config.provenance.get("patients", {})
    return ", ".join(f"{split} {n:,} films of {patients.get(split, n):,} patients" for split, n in films.items())


def auroc_chart(source: Source, table: pd.DataFrame) -> None:
    """AUROC of every finding with its interval."""
    st.subheader("AUROC by finding", anchor=False)
    rows = [
        Row(parts.title(name), scores.auroc.value, scores.auroc.low, scores.auroc.high)
        for name, scores in source.scores.items()
        if scores.auroc.value is not None
    ]
    floor = min([0.5, *(row.low for row in rows if row.low is not None)])
    parts.chart(
        forest([row.name for row in rows], [Series(rows)], "AUROC", reference=0.5, reach=[floor - 0.02, 1.02]),
        "auroc",
        table,
        "AUROC of each finding with its interval",
        "0.5 is chance, 1 is perfect. A long bar (wide interval) means few patients.",
    )
    for name, scores in source.scores.items():
        if scores.auroc.value is None:
            st.caption(f"{parts.title(name)}: undefined, {scores.auroc.why}.")


def prevalence_chart(source: Source, table: pd.DataFrame) -> None:
    """How common each finding is, on these films and on validation films."""
    st.subheader("Prevalence", anchor=False)
    shares = {source.split or "these films": list(table["prevalence"])}
    if (validation := computed.validation_prevalence(source)) is not None:
        shares["validation"] = validation
    parts.chart(
        prevalence_figure([parts.title(name) for name in table["finding"]], shares),
        "prevalence",
        pd.DataFrame({"finding": table["finding"], **shares}),
        "Share of films with each finding",
        "Where a finding is rarer than here, a positive call is more often wrong (lower PPV).",
    )


def training(source: Source) -> None:
    """Training curves, where the folder has them."""
    rows = computed.history(source)
    if not rows:
        st.caption("No training history comes with these results.")
        return
    st.subheader("Training", anchor=False)
    st.caption(
        "Both losses should fall together; validation loss that rises while training loss falls means overfitting."
    )
    frame = pd.DataFrame(rows)
    left, right = st.columns(2, gap="medium")
    with left:
        series = {"train_loss": "training", "val_loss": "validation"}
        parts.chart(training_figure(rows, series, "Loss"), "loss", frame, "Training and validation loss by epoch")
    with right:
        figure = training_figure(rows, {"val_auroc": "validation"}, "Mean AUROC on validation")
        parts.chart(figure, "validation-auroc", frame, "Mean AUROC on validation films by epoch")


def show() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(
        "How good is this model, and on which films?",
        "Below each score is its 95 % interval: the range that it would usually fall in with other patients of the "
        "same kind. Hold the pointer on a question mark to read what a number means.",
        source,
    )
    with st.container(horizontal=True, gap="small"):
        for card in headlines(source):
            parts.card(*card)
    table = scores_table(source)
    left, right = st.columns(2, gap="medium")
    with left:
        auroc_chart(source, table)
    with right:
        prevalence_chart(source, table)
    training(source)
    if known := facts(source):
        with st.expander("About this model", expanded=True):
            st.markdown("\n".join(f"- **{label}:** {parts.escape(value)}" for label, value in known))


show()
