"""Single films: true and false positives and negatives, filtered, sorted, and shown with their heatmap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.films.encoding import data_uri
from cxrcore.predictions.record import Predictions
from dashboard import cache, parts, state
from dashboard.heatmaps import film_of
from dashboard.sources.film_table import (
    MANY,
    ORDERS,
    OUTCOMES,
    Choice,
    as_frame,
    called_positive,
    most_probable_decides,
    outcomes_of,
    page_of,
    pick_films,
    safe_csv,
    threshold_for,
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
            order = st.selectbox("Order", list(ORDERS), format_func=ORDERS.__getitem__, key="films-order")
        threshold = _threshold(source, finding)
        outcomes = outcomes_of(source.arrays(finding)[0], called_positive(source, finding, threshold))
        choice = _choose(source, films, finding, outcomes)
        rows = pick_films(films, finding, outcomes, choice, order, threshold)
        shown = _page(rows)
        opened = _list(source, films, shown, finding, outcomes, pictures, rows)
        _export(films, rows, finding, outcomes)
    with right:
        if opened is not None:
            _film(source, films, opened, finding, outcomes, pictures)


def _threshold(source: Source, finding: str) -> float | None:
    """The link's threshold, else the model's own, else 0.5; None where the most probable class decides."""
    if most_probable_decides(source.labels):
        st.caption("The most probable class is the decision, so there is no threshold.")
        return None
    own = threshold_for(source, finding)
    linked = _number(state.read("threshold"))
    threshold = linked if linked is not None else own
    if threshold is None:
        st.caption("These results have no threshold chosen on validation films; 0.5 is used instead.")
        return 0.5
    origin = "chosen on the threshold page" if linked is not None and linked != own else "the model's own"
    st.caption(f"Called positive at {threshold:.4g} or above ({origin} threshold).")
    return threshold


def _choose(source: Source, films: Predictions, finding: str, outcomes: np.ndarray) -> Choice:
    counts = {name: int((outcomes == name).sum()) for name in OUTCOMES}
    chosen = st.pills(
        "Outcome", [name for name in OUTCOMES if counts[name]], selection_mode="multi", key="films-outcome", wrap=True,
        format_func=lambda name: f"{name} {counts[name]:,}",
    )  # fmt: skip
    values, ranges = cache.filters(source)
    with st.expander("More filters"):
        low, high = st.slider("Probability", 0.0, 1.0, (0.0, 1.0), 0.01, key="films-probability")
        text = st.text_input("Film or patient (a part of the name is enough)", key="films-text")
        others = [name for name in films.labels if name != finding]
        also = st.multiselect("Also has", others, format_func=parts.title, key="films-also") if others else []
        splits = sorted(set(films.split.tolist()))
        chosen_splits = st.multiselect("Split", splits, key="films-split") if len(splits) > 1 else []
        chosen_values = {
            name: tuple(picked)
            for name, options in values.items()
            if (picked := st.multiselect(parts.title(name).capitalize(), options, key=f"films-value-{name}"))
        }
        chosen_ranges = {}
        for name, (least, most) in ranges.items():
            whole = (float(np.floor(least)), float(np.ceil(most)))
            span = st.slider(
                parts.title(name).capitalize(), *whole, whole, key=f"films-range-{name}",
                help="A narrower range leaves out films where the value is unknown.",
            )  # fmt: skip
            if span != whole:
                chosen_ranges[name] = span
        if missing := [parts.title(name) for name in films.metadata if name not in values and name not in ranges]:
            st.caption(f"No filter for {', '.join(missing)}: one value only, or more than {MANY} different texts.")
    return Choice(
        tuple(chosen), low, high, text.strip(), tuple(chosen_splits), tuple(also), chosen_values, chosen_ranges
    )


def _page(rows: np.ndarray) -> np.ndarray:
    """The rows of the open page."""
    pages = max(1, -(-len(rows) // PAGE))
    number = 1
    if pages > 1:
        listed = hash(rows.tobytes())
        if st.session_state.get(LISTED) != listed:  # a new list starts at page 1
            st.session_state[LISTED] = listed
            st.session_state["films-page"] = 1
        number = int(st.number_input(f"Page (of {pages:,})", 1, pages, key="films-page"))
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
        st.session_state[OPEN] = str(films.images[shown[picked[0]]])
    on_page = {str(films.images[row]): int(row) for row in shown}
    return on_page.get(st.session_state.get(OPEN, ""), int(shown[0]))


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


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and 0 <= value <= 1 else None


page()
