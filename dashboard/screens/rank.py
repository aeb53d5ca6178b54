"""Does it rank? Whether films with a finding score above films without it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from cxrcore.evaluation.literature import published
from dashboard import computed, parts
from dashboard.charts.curves import GREEN, ORANGE, Marks, forest_figure, pr_figure, roc_figure, small_curve
from dashboard.parts import ends, number, with_interval
from dashboard.sources.source import Source

_REFERENCES = (("diamond-open", ORANGE), ("square-open", GREEN))


def scores_table(source: Source) -> pd.DataFrame:
    """A row a finding; undefined is empty."""
    rows = []
    for name, scores in source.metrics["findings"].items():
        area, low, high = ends(scores["auroc"])
        precision, precision_low, precision_high = ends(scores["auprc"])
        row = {
            "finding": name,
            "films_with": scores["n_pos"],
            "prevalence": scores.get("prevalence"),
            "auroc": area,
            "auroc_low": low,
            "auroc_high": high,
            "auprc": precision,
            "auprc_low": precision_low,
            "auprc_high": precision_high,
        }
        for report in published(source.dataset):
            row[report.title] = report.auroc.get(name)
        rows.append(row)
    frame = pd.DataFrame(rows)
    return frame.astype({name: float for name in frame.columns if name not in ("finding", "films_with")})


def one_finding(source: Source) -> None:
    finding = parts.finding_picker(source)
    scores, curves = source.metrics["findings"][finding], source.curves["findings"][finding]
    if scores["auroc"]["value"] is None and curves["pr"] is None:
        parts.missing(scores["auroc"].get("why"))
        return
    roc_band, pr_band = computed.bands(source, finding)
    name = parts.title(finding)
    point = label = None
    if (threshold := scores.get("threshold")) is not None and scores["sensitivity"] is not None:
        point, label = (scores["sensitivity"], scores["specificity"], scores["ppv"]), f"its threshold, {threshold:.3f}"
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**ROC curve** · AUROC {with_interval(scores['auroc'])}")
        if curves["roc"] is None:
            parts.missing(scores["auroc"].get("why"))
        else:
            at = (1 - point[1], point[0]) if point and point[1] is not None else None
            parts.chart(
                roc_figure(curves["roc"], name, roc_band, at, label=label or ""),
                f"roc-{finding}",
                lambda: _points(curves["roc"]),
                f"ROC curve of {name}, area {number(scores['auroc']['value'])}",
                "The further the curve bulges to the upper left, the better; the dotted line is guessing.",
            )
    with right:
        st.markdown(f"**Precision-recall curve** · area {with_interval(scores['auprc'])}")
        if curves["pr"] is None:
            parts.missing(scores["auprc"].get("why"))
        else:
            at = (point[0], point[2]) if point and point[2] is not None else None
            parts.chart(
                pr_figure(curves["pr"], name, scores.get("prevalence"), pr_band, at, label=label or ""),
                f"pr-{finding}",
                lambda: _points(curves["pr"]),
                f"Precision-recall curve of {name}, area {number(scores['auprc']['value'])}",
                "Of the films it calls, how many are right, as it finds more; compare only at equal prevalence.",
            )
    how = "counting patients" if source.predictions is not None else "taking films as independent"
    dot = " The red dot is the reported threshold." if point else ""
    st.caption(f"Shaded: 95 % interval at each threshold, {how}.{dot}")
    if reports := published(source.dataset):
        told = "; ".join(f"{report.title} {report.auroc[finding]:.3f}" for report in reports if finding in report.auroc)
        st.caption(f"Published AUROC for {name}, on other films: {told or 'none'}.")


def _points(curve: dict) -> pd.DataFrame:
    return pd.DataFrame({key: value for key, value in curve.items() if key != "area"})


def against_published(source: Source, table: pd.DataFrame) -> None:
    """This model's AUROCs with what was published beside them, splits named."""
    drawn = table.dropna(subset="auroc").sort_values("auroc", ascending=False)
    rows = [parts.title(name) for name in drawn["finding"]]
    marks = [Marks(f"{source.name} ({source.badge})", drawn["auroc"], drawn["auroc_low"], drawn["auroc_high"])]
    for report, (symbol, colour) in zip(published(source.dataset), _REFERENCES, strict=False):
        marks.append(Marks(report.title, drawn[report.title], symbol=symbol, colour=colour))
    floor = min(0.5, float(drawn[["auroc", "auroc_low"]].min().min())) if len(drawn) else 0.5
    st.subheader("All findings" + (", and what others published" if len(marks) > 1 else ""), anchor=False)
    parts.chart(
        forest_figure(rows, marks, "AUROC", 0.5, [floor - 0.02, 1.02]),
        "auroc-all",
        drawn,
        "AUROC of every finding with its interval",
        "Scores on a random split run higher than on the official list: compare only where the split is the same."
        if len(marks) > 1
        else "0.5 is guessing, 1 is perfect; best first.",
    )


def side_by_side(source: Source) -> None:
    """Every finding's curve, small."""
    st.subheader("Every finding at a glance", anchor=False)
    kind = st.segmented_control("Curve", ["ROC", "Precision-recall"], default="ROC", required=True, key="small-kind")
    with st.container(horizontal=True, gap="small"):
        for name, scores in source.metrics["findings"].items():
            curves = source.curves["findings"][name]
            curve = curves["roc" if kind == "ROC" else "pr"]
            if curve is None:
                continue
            heading = f"{parts.title(name)}<br><b>{number(curve['area'])}</b>"
            if kind == "ROC":
                figure = small_curve(curve["false_positive_rate"], curve["sensitivity"], heading, None, False)
            else:
                sensitivity, precision = [0.0, *curve["sensitivity"]], [curve["precision"][0], *curve["precision"]]
                figure = small_curve(sensitivity, precision, heading, scores.get("prevalence"), True)
            parts.small_chart(figure, f"small-{kind}-{name}", f"{kind} curve of {name}, area {number(curve['area'])}")

    def every() -> pd.DataFrame:
        key = "roc" if kind == "ROC" else "pr"
        frames = [
            _points(curves[key]).assign(finding=name)
            for name, curves in source.curves["findings"].items()
            if curves[key] is not None
        ]
        return pd.concat(frames)

    parts.numbers_as_csv(every, f"curves-{kind}")


def show() -> None:
    source = parts.current_source()
    parts.page_head(
        "Does it rank films with a finding above films without it?",
        "AUROC is the chance that, of two films, one with the finding and one without, the first scores higher. It "
        "needs no threshold and says nothing about whether probabilities are honest.",
        source,
    )
    metrics = source.metrics
    plain = "Plain mean over the findings: the rare count as much as the common."
    averages = [("Macro AUROC", metrics["macro"]["auroc"], plain)]
    if micro := metrics.get("micro"):
        pooled = "Every film and finding in one ranking: the common count more."
        averages.append(("Micro AUROC", micro["auroc"], pooled))
    with st.container(horizontal=True, gap="small"):
        for label, estimate, words in averages:
            value, low, high = ends(estimate)
            parts.card(label, number(value), parts.span(low, high), words)
    one_finding(source)
    table = scores_table(source)
    against_published(source, table)
    side_by_side(source)
    st.subheader("As a table", anchor=False)
    st.caption("Press a column's head to sort by it.")
    st.dataframe(
        table.assign(finding=[parts.title(name) for name in table["finding"]], prevalence=100 * table["prevalence"]),
        hide_index=True,
        height="content",
        column_config={
            "finding": st.column_config.TextColumn("Finding", pinned=True),
            "films_with": st.column_config.NumberColumn("Films with it", format="localized"),
            "prevalence": st.column_config.NumberColumn("Prevalence, %", format="%.1f"),
            **{
                key: st.column_config.NumberColumn(words, format="%.3f")
                for key, words in {
                    "auroc": "AUROC",
                    "auroc_low": "from",
                    "auroc_high": "to",
                    "auprc": "PR area",
                    "auprc_low": "PR from",
                    "auprc_high": "PR to",
                    **{report.title: report.title for report in published(source.dataset)},
                }.items()
            },
        },
    )
    parts.numbers_as_csv(table, "scores")
    undefined = {name: s["auroc"]["why"] for name, s in metrics["findings"].items() if s["auroc"]["value"] is None}
    for name, why in undefined.items():
        st.caption(f"{parts.title(name)}: undefined, {why}.")


show()
