"""What every page is made of: its question, its charts with their numbers, the badge of the split, calm sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cxrcore.evaluation.split_origins import split_origin_of
from cxrcore.metrics.intervals import Estimate
from dashboard import state
from dashboard.host import may_type_folders
from dashboard.sources.source import Source

NOTE = "For research and teaching only, never for diagnosis."
SOURCE = "source"  # where app.py leaves the open source for the page
FORMAT = "picture-format"
_BADGES = {"official": "green", "own": "blue", "random": "orange", "unknown": "gray"}


def current_source() -> Source:
    """The source that the sidebar opened; a page is only run when there is one."""
    return st.session_state[SOURCE]


def page_head(question: str, how: str, source: Source | None = None) -> None:
    """The page's question in a sentence, on whose films it is answered, and how to read what follows."""
    st.header(question, anchor=False)
    if source is not None:
        badge(source)
    st.caption(how)


def show_caveats(source: Source, whole: bool = True) -> None:
    """What to know before believing any of the numbers; not ``whole``: its first sentence."""
    known = source.caveats
    if known is None:
        return
    if known.synthetic:
        st.warning("This model learned from synthetic films only.")
    if known.note:
        more = not whole and known.first_sentence != known.note
        st.warning(escape(known.first_sentence) + " More on the first page." if more else escape(known.note))


def badge(source: Source) -> None:
    """Whose numbers, on which films, and what kind of split; the split's word is never left out."""
    origin = split_origin_of(source.badge)
    patients = source.metrics["n_patients"]
    counts = f"{source.metrics['n']:,} films of {patients:,} patient{'' if patients == 1 else 's'}"
    films = " ".join(part for part in (source.dataset, source.split) if part)
    told = f" `{source.origin}`" if source.origin else ""
    st.markdown(
        f"**{escape(source.name)}**{told} on {escape(films)} · {counts} · :{_BADGES[origin.key]}-badge[{origin.label}]",
        help=f"{origin.label.capitalize()}. {origin.explanation}",
    )


def finding_picker(source: Source, findings: Sequence[str] | None = None, label: str = "Finding") -> str:
    """The finding in question, kept in the link; a threshold belongs to a finding, so it is dropped with it."""
    names = list(findings or source.labels)
    default = source.main_finding if source.main_finding in names else names[0]
    return state.pick("finding", label, names, default, forget=("threshold",), name=title)


def chart(
    figure: go.Figure,
    name: str,
    numbers: pd.DataFrame | Callable[[], pd.DataFrame],
    alt: str,
    how: str = "",
    **more: Any,
) -> Any:
    """A figure that saves itself as a picture (its camera, in the sidebar's format) and its numbers as CSV.

    ``name``: of both files, and unique on the page; ``alt``: the chart in words, for those who do not see it; ``how``:
    a line on how to read it; ``more``: for ``st.plotly_chart``.
    """
    if how:
        st.caption(how)
    kind = st.session_state.get(FORMAT) or "PNG"
    config = {
        "displaylogo": False,
        "displayModeBar": True,
        "modeBarButtons": [["toImage"]],
        "scrollZoom": False,
        "toImageButtonOptions": {"format": kind.lower(), "filename": name, "scale": 2},
    }
    with st.container(gap=None):
        drawn = st.plotly_chart(figure, key=f"chart-{name}-{kind}", config=config, alt=alt, **more)
        numbers_as_csv(numbers, name)
    return drawn


def small_chart(figure: go.Figure, name: str, alt: str, width: int = 168) -> None:
    """One of many small charts; its camera shows when the pointer or finger is on it."""
    kind = st.session_state.get(FORMAT) or "PNG"
    config = {
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": kind.lower(), "filename": name, "scale": 2},
    }
    st.plotly_chart(figure, key=f"chart-{name}-{kind}", config=config, alt=alt, width=width)


def numbers_as_csv(numbers: pd.DataFrame | Callable[[], pd.DataFrame], name: str) -> None:
    """A quiet button that saves a chart's or table's numbers; a function is only called when it is pressed."""

    def content() -> bytes:
        frame = numbers() if callable(numbers) else numbers
        return frame.to_csv(index=False).encode()

    st.download_button(
        "↓ Numbers as CSV",
        content,
        file_name=f"{name}.csv",
        mime="text/csv",
        key=f"csv-{name}",
        on_click="ignore",
        type="tertiary",
    )


def needs_table(what: str, source: Source) -> None:
    """One sentence for what a page cannot tell without a row a film, and where such a table comes from."""
    name = f"{source.dataset or 'DATASET'} --data DIR --split {source.split or 'test'} --out DIR"
    model = source.reference if may_type_folders() else source.name
    st.info(
        f"{what} needs the model's answer on every film, and tables of patients' films are not shipped. "
        f"`cxr evaluate {model} --dataset {name}` writes one; then open its folder here."
    )


def missing(why: str | None) -> None:
    """An undefined number is a visible state, with its reason."""
    st.info(f"Not defined here: {why or 'no reason was recorded'}.")


def title(finding: str) -> str:
    """``Pleural_Thickening`` as prose."""
    return finding.replace("_", " ")


def escape(text: str) -> str:
    """A name from a file, so that Markdown prints it and nothing else."""
    return "".join(f"\\{letter}" if letter in "\\`*_{}[]()<>#+!|$:~" else letter for letter in text)


def dark() -> bool:
    """Whether the reader's page is dark; only what is drawn on a ground of its own needs to know."""
    return st.context.theme.type == "dark"


def number(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def card(label: str, value: str, span: str | None, words: str, width: int = 168) -> None:
    """A number to read first, with its interval below and its meaning a touch away."""
    st.metric(
        label,
        value,
        span or None,
        delta_color="off",
        delta_arrow="off",
        help=words,
        width=width,
        height="stretch",
        border=True,
    )


def span(
    low: float | None, high: float | None, show: Callable[[float | None], str] = number, between: str = "–"
) -> str | None:
    """An interval's ends, without the unit that stands above them."""
    return None if low is None or high is None else between.join(show(end).removesuffix(" %") for end in (low, high))


def with_interval(estimate: Estimate | Mapping[str, Any] | None, show: Callable[[float | None], str] = number) -> str:
    """``0.953 (0.941–0.963)``; a dash where undefined."""
    value, low, high = ends(estimate)
    if value is None or low is None or high is None:
        return show(value)
    return f"{show(value)} ({show(low).removesuffix(' %')}–{show(high)})"


def ends(estimate: Estimate | Mapping[str, Any] | None) -> tuple[float | None, float | None, float | None]:
    """Value, low and high of a record or of its JSON."""
    if estimate is None:
        return None, None, None
    data = estimate.to_dict() if isinstance(estimate, Estimate) else estimate
    return data.get("value"), data.get("low"), data.get("high")
