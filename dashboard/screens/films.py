"""Single films: true and false positives and negatives, filtered, sorted, and shown with their heatmap."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.films.encoding import data_uri
from cxrcore.predictions.record import Predictions
from dashboard import cache, parts, state, thresholds
from dashboard.heatmaps import film_of
from dashboard.sources.film_table import (
    MANY,
    ORDERS,
    OUTCOMES,
    Choice,
    as_frame,
    outcomes_of,
    page_of,
    pick_films,
    safe_csv,
)
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source
from dashboard.viewing import choose_folder, folder_given, show_film

QUESTION = "Which films does it get right, and which wrong?"
HOW = (
    "Choose a finding and an outcome; the table lists the films, the model's most confident calls first. Tick one to "
    "see it with its heatmap, write a note, and save the list as CSV."
)
PAGE = 8
NOTES, OPEN, LISTED = "film-notes", "film-open", "films-listed"


def page() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.predictions is None:
        parts.needs_table("Listing films", source)
        return
    pictures = choose_folder(source)
    browse(source, pictures)


@st.fragment
def browse(source: Source, pictures: Pictures) -> None:
    """Draw filters, list and open film."""
    films = source.predictions
    assert films is not None
    left, right = st.columns([3, 2], gap="medium")
    with left:
        first, second = st.columns(2)
        with first:
            finding = parts.finding_picker(source)
        with second:
            order = state.pick(
                "order", "Order", list(ORDERS), "sure", name=ORDERS.__getitem__, key_of_widget="films-order"
            )
        made = thresholds.decision(source, finding)
        outcomes = outcomes_of(source.arrays(finding)[0], thresholds.calls(source, finding, made))
        scored = _scored(source, made)
        choice = _choose(source, films, finding, outcomes, scored)
        rows = pick_films(films, finding, outcomes, choice, order, made.threshold)
        rows = rows[scored[rows]]
        shown = _page(rows)
        opened = _list(source, films, shown, finding, outcomes, pictures, rows)
        _export(films, rows, finding, outcomes)
    with right:
        if opened is not None:
            _film(source, films, opened, finding, outcomes, pictures)


def _scored(source: Source, made: thresholds.Decision) -> np.ndarray:
    """Films that did not choose the threshold, bool (N,), as on the page of decisions; says which threshold it is."""
    words = thresholds.described(source, made)
    if made.threshold is not None:
        words = f"Called positive at {made.threshold:.4g} or above. {words}"
    st.caption(words)
    films = thresholds.scored_films(source, made.rule)
    assert source.predictions is not None
    return np.ones(len(source.predictions), bool) if films is None else films


def _choose(source: Source, films: Predictions, finding: str, outcomes: np.ndarray, scored: np.ndarray) -> Choice:
    """Draw the filters; all of them are kept in the link, but names of films and patients of an upload are not."""
    counts = {name: int((outcomes[scored] == name).sum()) for name in OUTCOMES}
    there = [name for name in OUTCOMES if counts[name]]
    chosen = st.pills(
        "Outcome", there, selection_mode="multi", wrap=True, format_func=lambda name: f"{name} {counts[name]:,}",
        **state.kept("outcome", [], state.several_of(there), state.joined, widget="films-outcome"),
    )  # fmt: skip
    with st.expander("More filters"):
        low, high = _probabilities()
        text = st.text_input(
            "Film or patient (a part of the name is enough)",
            **state.kept("text", "", str, widget="films-text", linked=not source.uploaded),
        )
        others = [name for name in films.labels if name != finding]
        also = _several("also", "Also has", others, "films-also", parts.title) if others else []
        splits = sorted(set(films.split.tolist()))
        chosen_splits = _several("split", "Split", splits, "films-split") if len(splits) > 1 else []
        values, ranges = _by_column(source, films)
    return Choice(tuple(chosen), low, high, text.strip(), tuple(chosen_splits), tuple(also), values, ranges)


def _probabilities() -> tuple[float, float]:
    """Draw the range of the finding's probability, two numbers of the link."""
    unit = state.number_in(0.0, 1.0)

    def read(key: str, default: float) -> float:
        try:
            return unit(state.read(key) or "")
        except ValueError:
            return default

    key, (low, high) = "films-probability", (read("low", 0.0), read("high", 1.0))
    st.session_state[key] = (min(low, high), max(low, high))

    def changed() -> None:
        low, high = st.session_state[key]
        state.write(low=f"{low:g}" if low > 0 else None, high=f"{high:g}" if high < 1 else None)

    return cast("tuple[float, float]", st.slider("Probability", 0.0, 1.0, step=0.01, key=key, on_change=changed))


def _several(key: str, label: str, options: list[str], widget: str, name: Callable[[str], str] = str) -> list[str]:
    picked: list[str] = st.multiselect(
        label, options, format_func=name, **state.kept(key, [], state.several_of(options), state.joined, widget=widget)
    )
    return picked


def _by_column(source: Source, films: Predictions) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[float, float]]]:
    """Draw filters by what the table says of its films: some values of a column, or a range of it."""
    values, ranges = cache.filters(source)
    chosen = {
        name: tuple(picked)
        for name, options in values.items()
        if (picked := _several(f"{state.WHERE}{name}", parts.title(name).capitalize(), options, f"films-value-{name}"))
    }
    spans = {}
    for name, (least, most) in ranges.items():
        whole = (float(np.floor(least)), float(np.ceil(most)))
        span = st.slider(
            parts.title(name).capitalize(), *whole, help="A narrower range leaves out films of unknown value.",
            **state.kept(f"{state.WHERE}{name}", whole, _span_in(whole), _span_text, widget=f"films-range-{name}"),
        )  # fmt: skip
        if span != whole:
            spans[name] = span
    if missing := [parts.title(name) for name in films.metadata if name not in values and name not in ranges]:
        st.caption(f"No filter for {', '.join(missing)}: one value only, or more than {MANY} different texts.")
    return chosen, spans


def _span_in(whole: tuple[float, float]) -> Callable[[str], tuple[float, float]]:
    """Decoder of ``20..60``, within the ends of a slider."""
    inside = state.number_in(*whole)

    def decode(text: str) -> tuple[float, float]:
        low, _, high = text.partition("..")
        ends = sorted((inside(low), inside(high)))
        return ends[0], ends[1]

    return decode


def _span_text(span: tuple[float, float]) -> str:
    return f"{span[0]:g}..{span[1]:g}"


def _page(rows: np.ndarray) -> np.ndarray:
    """The rows of the open page."""
    pages = max(1, -(-len(rows) // PAGE))
    number = 1
    if pages > 1:
        listed = hash(rows.tobytes())
        if st.session_state.setdefault(LISTED, listed) != listed:  # a new list starts at page 1
            st.session_state[LISTED] = listed
            state.write(page=None)
        number = int(
            st.number_input(
                f"Page (of {pages:,})",
                1,
                pages,
                **state.kept("page", 1, lambda text: min(max(int(text), 1), pages), widget="films-page"),
            )
        )
    return page_of(rows, number - 1, PAGE)


def _list(
    source: Source,
    films: Predictions,
    shown: np.ndarray,
    finding: str,
    outcomes: np.ndarray,
    pictures: Pictures,
    rows: np.ndarray,
) -> int | None:
    """Draw the table of a page, and return the row of the open film."""
    if not len(rows):
        st.info("No film passes these filters; remove one.")
        return None
    st.caption(f"{len(rows):,} of {len(films):,} films")
    frame = as_frame(films, shown, finding, outcomes, _notes())
    pictured = pictures.available(films.images[shown])
    if pictured.any():
        frame.insert(0, "film", [_thumbnail(image, pictures) for image in films.images[shown]])
    key = f"films-table-{hash((finding, shown.tobytes()))}"
    event = st.dataframe(
        frame.drop(columns=["finding", "target", *(["split"] if len(set(films.split.tolist())) == 1 else [])]),
        hide_index=True,
        on_select="rerun",
        selection_mode="single-row",
        row_height=64 if pictured.any() else None,
        height="content",
        key=key,
        column_config=_columns(),
        column_order=_order(frame),
    )
    picked = event["selection"]["rows"]
    if picked and picked[0] < len(shown):
        _open(source, str(films.images[shown[picked[0]]]))
    on_page = {str(films.images[row]): int(row) for row in shown}
    return on_page.get(_opened(source), int(shown[0]))


def _open(source: Source, image: str) -> None:
    """Keep the open film in the link, or, as an upload's names may be patients', in the session only."""
    st.session_state[OPEN] = image
    if not source.uploaded:
        state.write(film=image)


def _opened(source: Source) -> str:
    return str((st.session_state.get(OPEN) if source.uploaded else state.read("film")) or "")


def _order(frame: pd.DataFrame) -> list[str]:
    first = [name for name in ("film", "image", "outcome", "probability", "findings") if name in frame]
    rest = [name for name in frame.columns if name not in (*first, "finding", "target")]
    return first + rest


def _columns() -> dict[str, Any]:
    return {
        "film": st.column_config.ImageColumn("", width=70),
        "image": st.column_config.TextColumn("Film"),
        "patient_id": st.column_config.TextColumn("Patient"),
        "outcome": st.column_config.TextColumn("Outcome"),
        "probability": st.column_config.ProgressColumn(
            "Probability", min_value=0, max_value=1, format="%.3f", width=110
        ),
        "findings": st.column_config.TextColumn("Labels"),
        "age_years": st.column_config.NumberColumn("Age", format="%.0f"),
        "note": st.column_config.TextColumn("Note"),
    }


def _film(source: Source, films: Predictions, row: int, finding: str, outcomes: np.ndarray, pictures: Pictures) -> None:
    image = str(films.images[row])
    column = films.labels.index(finding)
    st.subheader(parts.escape(image), anchor=False)
    colour = {"true positive": "green", "true negative": "green", "unknown": "gray"}.get(str(outcomes[row]), "orange")
    st.markdown(
        f":{colour}-badge[{outcomes[row]}] {parts.title(finding)} "
        f"**{films.probabilities[row, column]:.3f}** · patient {parts.escape(str(films.patient_ids[row]))}"
    )
    show_film(source, image, finding, pictures)
    with st.expander("All findings on this film"):
        labels = {0.0: "absent", 1.0: "present"}
        st.dataframe(
            pd.DataFrame(
                {
                    "finding": [parts.title(name) for name in films.labels],
                    "probability": films.probabilities[row].astype(float),
                    "label": [labels.get(float(value), "unknown") for value in films.targets[row]],
                }
            ),
            hide_index=True,
            column_config={
                "probability": st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f"),
            },
        )
    key = f"note-{image}"
    st.session_state.setdefault(key, _notes().get(image, ""))
    st.text_area(
        "Note on this film",
        key=key,
        max_chars=2000,
        placeholder="Stays until you close the dashboard; save it with the list.",
        on_change=_save_note,
        args=(image, key),
    )


def _save_note(image: str, key: str) -> None:
    """Runs before the page is drawn again, so that list and CSV hold the note."""
    if note := st.session_state[key].strip():
        _notes()[image] = note
    else:
        _notes().pop(image, None)


def _export(films: Predictions, rows: np.ndarray, finding: str, outcomes: np.ndarray) -> None:
    if not len(rows):
        return
    noted = np.flatnonzero(np.isin(films.images, list(_notes())))
    left, right = st.columns(2)
    with left:
        st.download_button(
            f"These {len(rows):,} films as CSV",
            lambda: safe_csv(as_frame(films, rows, finding, outcomes, _notes())),
            file_name="films.csv", mime="text/csv", on_click="ignore", key="films-csv",
        )  # fmt: skip
    with right:
        if len(noted):
            st.download_button(
                f"The {len(noted):,} with a note as CSV",
                lambda: safe_csv(as_frame(films, noted, finding, outcomes, _notes())),
                file_name="films-with-notes.csv", mime="text/csv", on_click="ignore", key="films-noted-csv",
            )  # fmt: skip


def _thumbnail(image: str, pictures: Pictures) -> str | None:
    return _thumbnail_of(str(image), folder_given() if pictures.folder else "", pictures)


@st.cache_resource(show_spinner=False, max_entries=600)
def _thumbnail_of(image: str, folder: str, _pictures: Pictures) -> str | None:
    try:
        film = film_of(image, folder, _pictures)
    except CxrError:
        return None
    return None if film is None else data_uri(film.pixels, 112)


def _notes() -> dict[str, str]:
    notes: dict[str, str] = st.session_state.setdefault(NOTES, {})
    return notes


page()
