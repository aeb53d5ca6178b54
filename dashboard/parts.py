"""Parts of every page: its head, warnings, charts with their numbers as CSV, cards, and the formats of numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cxrcore.text import HasInterval, NumberFormat
from dashboard import state
from dashboard.host import may_type_folders
from dashboard.sources.source import Source

NOTE = "For research and teaching only, never for diagnosis."
SOURCE = "source"  # session key of the open source
FORMAT = "picture-format"
NUMBER = NumberFormat(between="–", undefined="–")
TWO_DIGITS = NumberFormat(digits=2, between="–", undefined="–")
PERCENT = NumberFormat(digits=1, factor=100, unit=" %", between="–", undefined="–")
SIGNED = NumberFormat(digits=2, signed=True, between="–", undefined="–")
WHOLE_PERCENT = NumberFormat(digits=0, factor=100, unit=" %", between="–", undefined="–")
# Colours of split origins.
BADGES = {  # colour by ``split_origins``
    "official": "green",
    "fixed": "green",
    "own": "blue",
    "cross_validated": "blue",
    "other": "blue",
    "random": "orange",
    "unknown": "gray",
}

Frame: TypeAlias = pd.DataFrame | Callable[[], pd.DataFrame]


def current_source() -> Source:
    """The source that the sidebar opened; a page is only run when there is one."""
    source: Source = st.session_state[SOURCE]
    return source


def page_head(question: str, how: str, source: Source) -> None:
    """Draw the page's question, the films that it is answered on, and how to read the answer."""
    st.header(question, anchor=False)
    badge(source)
    st.caption(how)


def show_notices(source: Source, whole: bool = True) -> None:
    """Show the warnings that belong to the model; not ``whole``: the first sentence of each."""
    notices = source.notices
    if notices is None:
        return
    if notices.synthetic:
        st.warning("This model learned from synthetic films only.")
    if notices.population and whole:
        st.caption(escape(notices.population))
    if notices.note:
        shorten = not whole and notices.first_sentence != notices.note
        st.warning(escape(notices.first_sentence) + " More on the first page." if shorten else escape(notices.note))


def badge(source: Source) -> None:
    """Name model, films and patients, and where the split comes from."""
    metrics, origin = source.metrics, source.metrics.origin
    counts = f"{metrics.n:,} films of {metrics.n_patients:,} patient{'' if metrics.n_patients == 1 else 's'}"
    films = " ".join(part for part in (source.dataset, source.split) if part)
    revision = f" `{source.origin}`" if source.origin else ""
    label = f":{BADGES[origin.key]}-badge[{origin.label}]"
    st.markdown(
        f"**{escape(source.name)}**{revision} on {escape(films)} · {counts} · {label}",
        help=f"{origin.label.capitalize()}. {origin.explanation}",
    )


def finding_picker(source: Source, findings: Sequence[str] | None = None, label: str = "Finding") -> str:
    """Draw the picker of a finding, kept in the link; a threshold belongs to a finding, so it is dropped with it."""
    names = list(findings or source.labels)
    default = source.main_finding if source.main_finding in names else names[0]
    return state.pick("finding", label, names, default, forget=("threshold",), name=title)


def chart(figure: go.Figure, name: str, numbers: Frame, alt: str, how: str = "") -> None:
    """Draw a figure with its camera (saved in the sidebar's format) and its numbers as CSV.

    ``name``: of both files, unique on the page; ``alt``: the chart in words, for screen readers; ``how``: a line on
    how to read it.
    """
    if how:
        st.caption(how)
    with st.container(gap=None):
        _plotly(figure, name, alt, displayModeBar=True, scrollZoom=False)
        numbers_as_csv(numbers, name)


def small_chart(figure: go.Figure, name: str, alt: str, width: int = 168) -> None:
    """Draw one of many small charts; its camera shows while the pointer is on it."""
    _plotly(figure, name, alt, width=width)


def _plotly(
    figure: go.Figure, name: str, alt: str, width: int | Literal["stretch"] = "stretch", **options: Any
) -> None:
    kind = st.session_state.get(FORMAT) or "PNG"
    config = {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": kind.lower(), "filename": name, "scale": 2},
        **options,
    }
    st.plotly_chart(figure, key=f"chart-{name}-{kind}", config=config, alt=alt, width=width)


def numbers_as_csv(numbers: Frame, name: str, label: str = "↓ Numbers as CSV") -> None:
    """Draw a quiet button that saves a chart's or table's numbers; a function is only called when it is pressed."""

    def content() -> bytes:
        frame = numbers() if callable(numbers) else numbers
        return str(frame.to_csv(index=False)).encode()

    st.download_button(
        label,
        content,
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"csv-{name}",
        on_click="ignore",
        type="tertiary",
    )


def scores_frame(rows: Sequence[dict[str, Any]], *others: str) -> pd.DataFrame:
    """A row per finding; every column but ``finding`` and ``others`` is float, NaN where undefined."""
    frame = pd.DataFrame(rows)
    return frame.astype({name: float for name in frame.columns if name not in ("finding", *others)})


def needs_table(what: str, source: Source) -> None:
    """Say that a page needs a row per film, and how to get such a table."""
    st.info(
        f"{what} needs the model's probabilities for every film, and tables of patients' films are not shipped. "
        f"`cxr evaluate {arguments(source)} --out RESULTS` writes one from DIR, a folder with the data set's films; "
        "then open RESULTS here."
    )


def arguments(source: Source, split: str = "") -> str:
    """What ``cxr evaluate`` and ``cxr audit`` are given for these films; MODEL where the source is of no bundle."""
    known = source.reference if may_type_folders() else source.name
    model = "MODEL" if source.folder is None else known
    return f"{model} --dataset {source.dataset or 'DATASET'} --data DIR --split {split or source.split or 'test'}"


def missing(why: str | None) -> None:
    """Show that a number is undefined, and why."""
    st.info(f"Not defined here: {why or 'no reason was recorded'}.")


def title(finding: str) -> str:
    """A finding's name as prose, e.g. ``Pleural Thickening``."""
    return finding.replace("_", " ")


def escape(text: str) -> str:
    """A text from a file, so that Markdown prints it as it is."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+!|$:~" else letter for letter in text)


def dark() -> bool:
    """Whether the reader's page is dark; for charts that draw a background of their own."""
    return bool(st.context.theme.type == "dark")


def card(label: str, value: str, below: str, words: str, width: int = 168) -> None:
    """Draw a number in large type, with its interval (or another short text) below and its meaning as help."""
    st.metric(
        label,
        value,
        below or None,
        delta_color="off",
        delta_arrow="off",
        help=words,
        width=width,
        height="stretch",
        border=True,
    )


def estimate_card(
    label: str, estimate: HasInterval, words: str, style: NumberFormat = NUMBER, width: int = 168
) -> None:
    """Draw an estimate with its interval as a card."""
    card(label, style.number(estimate.value), style.interval(estimate.low, estimate.high), words, width)
