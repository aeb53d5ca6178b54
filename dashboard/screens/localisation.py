"""Does it look in the right place? Maps against boxes, beside a random control, and mean maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from cxrcore.datasets.boxes import Box, boxes_of
from cxrcore.errors import CxrError
from cxrcore.metrics.localisation import BORDER, MIN_FILMS
from dashboard import parts
from dashboard.charts.groups import dumbbells, mean_map
from dashboard.heatmaps import MEAN_FILMS, MapStudy, model_of, stamp_of, study_maps
from dashboard.sources.choosing import sentence
from dashboard.sources.pictures import Pictures, is_nih
from dashboard.sources.source import Source
from dashboard.viewing import ask_folder, folder_given, pictures_of

QUESTION = "Does it look in the right place?"
HOW = (
    "For films on which someone drew a box around the finding, the model's heatmap is scored against the box, beside a "
    "map of pure noise on the same films: only what lies clear of the noise says that the model looks there."
)
SCORES = {
    "hit": ("Pointing game", "share of films whose brightest place lies in the box (Zhang 2018)"),
    "centre_hit": ("Centre hit", "share of films whose map has its centre of mass in the box"),
    "iou": ("IoU", "overlap of box and map over their union; the map is cut to the box's area"),
    "iobb": ("IoBB", "share of the cut map that lies in the box (Wang 2017)"),
}
EVEN_BORDER = 1 - (1 - 2 * BORDER) ** 2  # of a flat map


def page() -> None:
    """The whole page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    if source.folder is None:
        st.info(
            "Maps come from the network itself, and a table has none: open the folder of the model that made it, with "
            "`config.json` and `model.safetensors`."
        )
        return
    ask_folder(source, np.array(sorted({box.image for box in source.boxes} | _named(source)), dtype=str), expanded=True)
    boxes = _boxes(source)
    listed = np.array(sorted({box.image for box in boxes} | _named(source)), dtype=str)
    pictures = pictures_of(source, listed)
    boxes = tuple(box for box in boxes if box.finding in source.labels and box.image in pictures)
    present = _present(source, boxes, pictures)
    if not boxes and not present:
        st.info(
            "This page needs films: their pictures, and boxes that say where a finding truly lies "
            "(`BBox_List_2017.csv` or `boxes.csv` beside them). Give the folder that holds both, above."
        )
        return
    study = _study(source, pictures, boxes, present)
    if study is None:
        return
    if study.unreadable:
        st.warning(f"{len(study.unreadable):,} film(s) could not be read and are left out.")
    _localisation(source, study)
    _mean_maps(source, study)


def _boxes(source: Source) -> tuple[Box, ...]:
    """The evaluation's own boxes, else those in the folder of films."""
    if source.boxes or not folder_given():
        return source.boxes
    folder = Path(folder_given()).expanduser()
    return boxes_of(folder) if folder.is_dir() else ()


def _named(source: Source) -> set[str]:
    return set() if source.predictions is None else set(source.predictions.images.tolist())


def _present(source: Source, boxes: Iterable[Box], pictures: Pictures) -> dict[str, tuple[str, ...]]:
    """Of each finding the films that go into its mean map: those that truly have it, by label or by box."""
    films = source.predictions
    found: dict[str, list[str]] = {}
    for finding in source.labels:
        if films is not None:
            names = films.images[films.targets[:, films.labels.index(finding)] == 1].tolist()
        else:
            names = sorted({box.image for box in boxes if box.finding == finding})
        shown = [name for name in names if name in pictures]
        if shown:
            step = max(1, len(shown) // MEAN_FILMS)
            found[finding] = shown[::step][:MEAN_FILMS]
    return {finding: tuple(names) for finding, names in found.items()}


def _study(
    source: Source, pictures: Pictures, boxes: tuple[Box, ...], present: dict[str, tuple[str, ...]]
) -> MapStudy | None:
    """What was computed before for these films, else a button that does."""
    assert source.folder is not None
    key = (
        str(source.folder),
        stamp_of(source.folder),
        source.evaluation,
        folder_given() if pictures.folder else "",
        len(boxes),
    )
    shelf = _shelf()
    if key in shelf:
        return shelf[key]
    films = len({box.image for box in boxes}.union(*present.values()))
    with_box = len({box.image for box in boxes})
    place = st.empty()
    asked = place.container()
    asked.write(
        f"{films:,} films can be shown, {with_box:,} of them with a box. One look of the network at each gives the "
        f"maps of every finding: about {_minutes(films)} on one processor core."
    )
    if not asked.button("Compute the maps", type="primary", key="place-compute"):
        return None
    place.empty()
    bar = st.progress(0.0, "Opening the network …")
    try:
        study = study_maps(
            model_of(source.folder), pictures, boxes, present, _patients(source), lambda names: _watched(names, bar)
        )
    except CxrError as error:
        st.error(sentence(error))
        return None
    finally:
        bar.empty()
    shelf[key] = study
    while len(shelf) > 8:
        shelf.pop(next(iter(shelf)))
    return study


@st.cache_resource
def _shelf() -> dict[tuple, MapStudy]:
    """Studies done, for every visitor; the last eight."""
    return {}


def _watched(names: Iterable[str], bar: st.delta_generator.DeltaGenerator) -> Iterator[str]:
    everything = list(names)
    for number, name in enumerate(everything, start=1):
        yield name
        bar.progress(number / len(everything), f"Film {number:,} of {len(everything):,}")


def _patients(source: Source) -> dict[str, str]:
    """Film -> patient; an NIH film's name starts with its patient."""
    if source.predictions is not None:
        return dict(zip(source.predictions.images.tolist(), source.predictions.patient_ids.tolist(), strict=True))
    return {box.image: box.image.partition("_")[0] for box in _boxes(source) if is_nih(box.image)}


def _minutes(films: int) -> str:
    seconds = films * 0.08
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


@st.fragment
def _localisation(source: Source, study: MapStudy) -> None:
    st.subheader("Against the boxes", anchor=False)
    scored = [name for name in source.labels if name in study.localisation]
    if not scored:
        st.info("No film that can be shown has a box of one of this model's findings.")
        return
    chosen = st.segmented_control(
        "Score", list(SCORES), default="hit", required=True, format_func=lambda name: SCORES[name][0], key="place-score"
    )
    st.caption(f"{SCORES[chosen][0]}: {SCORES[chosen][1]}. In brackets, films with a box; bars, 95 % intervals.")
    enough = [name for name in scored if study.localisation[name].why is None]
    few = [name for name in scored if name not in enough]
    frame = as_frame(study, scored)
    if enough:
        found = [study.localisation[name] for name in enough]
        parts.chart(
            dumbbells(
                [f"{parts.title(name)} ({one.n})" for name, one in zip(enough, found, strict=True)],
                [parts.ends(one.scores[chosen]) for one in found],
                [parts.ends((one.control or {}).get(chosen)) for one in found],
                [f"{one.n} films of {one.n_patients} patients" for one in found],
                SCORES[chosen][0],
            ),
            f"place-{chosen}",
            frame,
            f"{SCORES[chosen][0]} of the model's maps and of random maps, for {len(enough)} findings; numbers below.",
        )
        for name, one in zip(enough, found, strict=True):
            st.markdown(f"- **{parts.title(name)}**: {verdict(one)}")
    if few:
        counts = ", ".join(f"{parts.title(name)} ({study.localisation[name].n})" for name in few)
        st.caption(
            f"Too few boxes for a statement, fewer than {MIN_FILMS} films: {counts}. Their numbers are in the table, "
            "without intervals."
        )
    with st.expander("Every number in a table"):
        st.dataframe(frame, hide_index=True, column_config=_columns(frame))
        parts.numbers_as_csv(frame, "place-table")


def verdict(found: object) -> str:
    """One sentence on whether the maps beat noise at the pointing game."""
    gain, chance, p = found.gain, found.chance, found.gain_p  # type: ignore[attr-defined]
    own = parts.with_interval(found.scores["hit"], parts.percent)  # type: ignore[attr-defined]
    control = parts.percent(parts.ends((found.control or {}).get("hit"))[0])  # type: ignore[attr-defined]
    words = f"the brightest place lies in the box on {own} of films, a random map's on {control}"
    if chance is not None:
        words += f" (boxes cover {parts.percent(chance)} of a film)"
    if gain is None or gain.low is None or p is None:
        return f"{words}."
    if gain.low > 0:
        return f"{words}: better than noise by {parts.with_interval(gain, parts.percent)}."
    if gain.high < 0:
        return f"{words}: worse than noise; it looks elsewhere."
    return f"{words}: not clear of noise, so these maps should not be read as pointing at the finding."


def as_frame(study: MapStudy, scored: list[str]) -> pd.DataFrame:
    """A row a finding: every score, the control's, and the gain."""
    rows = []
    for name in scored:
        one = study.localisation[name]
        row: dict = {"finding": name, "films": one.n, "patients": one.n_patients, "maps_without_evidence": one.n_empty}
        for score in (*SCORES, "border_share"):
            for label, side in (("", one.scores), ("random_", one.control or {})):
                value, low, high = parts.ends(side.get(score))
                row |= {f"{label}{score}": value, f"{label}{score}_low": low, f"{label}{score}_high": high}
        value, low, high = parts.ends(one.gain)
        row |= {"gain": value, "gain_low": low, "gain_high": high, "gain_p": one.gain_p, "box_share": one.chance}
        rows.append(row | {"why": one.why or ""})
    return pd.DataFrame(rows)


def _columns(frame: pd.DataFrame) -> dict:
    whole = ("finding", "films", "patients", "maps_without_evidence", "why", "gain_p")
    return {name: st.column_config.NumberColumn(format="%.2f") for name in frame.columns if name not in whole}


def _mean_maps(source: Source, study: MapStudy) -> None:
    findings = [name for name in source.labels if name in study.mean_maps]
    if not findings:
        return
    st.subheader("On average", anchor=False)
    border, even = (parts.percent(share, 0) for share in (BORDER, EVEN_BORDER))
    st.caption(
        f"The mean map of films that truly have the finding (at most {MEAN_FILMS}), over the whole film, patient's "
        "right on the left. Brighter argues more for it, each finding on its own scale. The dotted line marks the "
        f"outer {border} on each side: a map without preference leaves {even} of its mass there, and much "
        "more suggests that markers or collimation are read instead of the lungs."
    )
    for start in range(0, len(findings), 3):  # a row at a time, so that a phone keeps their order
        for column, finding in zip(st.columns(3), findings[start : start + 3], strict=False):
            with column:
                _mean_map(study, finding)


def _mean_map(study: MapStudy, finding: str) -> None:
    share, films, values = study.borders[finding], study.mean_films[finding], study.mean_maps[finding]
    st.markdown(f"**{parts.title(finding)}** · {films:,} film{'s' if films != 1 else ''}")
    parts.chart(
        mean_map(values, BORDER),
        f"mean-map-{finding}",
        pd.DataFrame(values.round(5), columns=[f"column_{k}" for k in range(values.shape[1])]),
        f"Mean map of {parts.title(finding)}: {parts.percent(share)} of it in the border.",
    )
    st.caption(f"Border share {parts.percent(share)}{_border_word(share)}")


def _border_word(share: float | None) -> str:
    if share is None:
        return ": nothing on these films argued for it"
    if share > EVEN_BORDER + 0.1:
        return ": more than an even map, worth a look"
    return ""


page()
