"""Localisation: heatmaps against boxes, beside a random control; their faithfulness; and mean heatmaps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cxrcore.datasets.boxes import Box, boxes_of, is_nih
from cxrcore.errors import CxrError
from cxrcore.metrics.faithfulness import DELETION, INSERTION, Faithfulness, Ordered
from cxrcore.metrics.intervals import Estimate
from cxrcore.metrics.localisation import BORDER, MIN_FILMS, Localisation
from cxrcore.text import ends
from dashboard import parts, state
from dashboard.charts.forest import Row, Series, forest
from dashboard.charts.maps import mean_map, order_curves
from dashboard.charts.style import GREY
from dashboard.heatmaps import MEAN_FILMS, MapStudy, model_of, stamp_of, study_maps
from dashboard.parts import PERCENT, SIGNED, WHOLE_PERCENT
from dashboard.sources.choosing import sentence
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source
from dashboard.viewing import ask_folder, folder_given, pictures_of

QUESTION = "Do the heatmaps point to the finding?"
HOW = (
    "On films with a box around the finding, the model's heatmap is scored against the box, beside a map of random "
    "noise on the same film. Only scores clearly above those of the noise show that the heatmap points to the finding."
)
SCORES = {
    "hit": ("Pointing game", "share of films on which the map's maximum lies in the box (Zhang 2018)"),
    "centre_hit": ("Centre hit", "share of films on which the map's centre of mass lies in the box"),
    "iou": ("IoU", "intersection over union of box and map; the map is cut to the box's area"),
    "iobb": ("IoBB", "share of the cut map that lies in the box (Wang 2017)"),
    "box_iou": ("Drawn box", "intersection over union of the box and one drawn around the map's upper half"),
    "box_iou_25": ("Drawn box ≥ .25", "share of films on which that is at least .25 (Wang 2017)"),
}
ORDERS = {
    DELETION: (
        "Deletion",
        "cells are taken out of the film, strongest evidence first: a faithful map's target falls fast",
    ),
    INSERTION: ("Insertion", "cells are put into a blurred film, strongest evidence first: the target rises fast"),
}
MOST_STUDIES = 8  # in memory
EVEN_BORDER = 1 - (1 - 2 * BORDER) ** 2  # of a flat map


def page() -> None:
    """Draw the page."""
    source = parts.current_source()
    parts.page_head(QUESTION, HOW, source)
    _stored(source)
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
            "This page needs films: their pictures, and boxes around their findings "
            "(`BBox_List_2017.csv` or `boxes.csv` beside them). Give the folder that holds both, above."
        )
        return
    study = _study(source, pictures, boxes, present)
    if study is None:
        return
    if study.unreadable:
        st.warning(f"{len(study.unreadable):,} film(s) could not be read and are left out.")
    st.subheader("Heatmaps against boxes, on the films at hand", anchor=False)
    _localisation(source, study.localisation, "place")
    _mean_maps(source, study)


def _stored(source: Source) -> None:
    """What the evaluation measured of the maps and wrote down; it needs no film here."""
    located = {name: scores.localisation for name, scores in source.scores.items() if scores.localisation}
    measured = {name: one for name, one in located.items() if one.n}
    if measured:
        st.subheader("Heatmaps against boxes, as evaluated", anchor=False)
        if source.metrics.localisation and len(measured) > 1:
            st.markdown(f"**All boxes** ({source.metrics.localisation.n}): {verdict(source.metrics.localisation)}")
        _localisation(source, measured, "stored")
    tested = source.metrics.faithfulness
    if tested is not None:
        _faithfulness(tested)


def _boxes(source: Source) -> tuple[Box, ...]:
    """The evaluation's own boxes, else those in the folder of films."""
    if source.boxes or not folder_given():
        return source.boxes
    folder = Path(folder_given()).expanduser()
    return boxes_of(folder) if folder.is_dir() else ()


def _named(source: Source) -> set[str]:
    return set() if source.predictions is None else set(source.predictions.images.tolist())


def _present(source: Source, boxes: Iterable[Box], pictures: Pictures) -> dict[str, tuple[str, ...]]:
    """Films with each finding, by label or else by box, that go into its mean map."""
    films = source.predictions
    chosen: dict[str, list[str]] = {}
    for finding in source.labels:
        if films is not None:
            names = films.images[films.targets[:, films.labels.index(finding)] == 1].tolist()
        else:
            names = sorted({box.image for box in boxes if box.finding == finding})
        shown = [name for name in names if name in pictures]
        if shown:
            step = max(1, len(shown) // MEAN_FILMS)
            chosen[finding] = shown[::step][:MEAN_FILMS]
    return {finding: tuple(names) for finding, names in chosen.items()}


def _study(
    source: Source, pictures: Pictures, boxes: tuple[Box, ...], present: dict[str, tuple[str, ...]]
) -> MapStudy | None:
    """The study of these films, from the cache or computed on a button; None until it is pressed."""
    assert source.folder is not None
    key = (
        str(source.folder),
        stamp_of(source.folder),
        source.evaluation,
        folder_given() if pictures.folder else "",
        len(boxes),
    )
    studies = _studies()
    if key in studies:
        return studies[key]
    films = len({box.image for box in boxes}.union(*present.values()))
    with_box = len({box.image for box in boxes})
    slot = st.empty()
    offer = slot.container()
    offer.write(
        f"{films:,} films can be shown, {with_box:,} of them with a box. One forward pass per film gives the "
        f"maps of every finding: about {_minutes(films)} on one processor core."
    )
    if not offer.button("Compute the maps", key="place-compute"):
        return None
    slot.empty()
    bar = st.progress(0.0, "Opening the network …")
    try:
        study = study_maps(
            model_of(source.folder),
            pictures,
            boxes,
            present,
            _patients(source),
            lambda names: _with_progress(names, bar),
        )
    except CxrError as error:
        st.error(sentence(error))
        return None
    finally:
        bar.empty()
    studies[key] = study
    while len(studies) > MOST_STUDIES:
        studies.pop(next(iter(studies)))
    return study


@st.cache_resource
def _studies() -> dict[tuple[object, ...], MapStudy]:
    """The last studies, shared by all visitors."""
    return {}


def _with_progress(names: Iterable[str], bar: st.delta_generator.DeltaGenerator) -> Iterator[str]:
    films = list(names)
    for number, name in enumerate(films, start=1):
        yield name
        bar.progress(number / len(films), f"Film {number:,} of {len(films):,}")


def _patients(source: Source) -> dict[str, str]:
    """Film -> patient; an NIH film's name starts with its patient."""
    if source.predictions is not None:
        return dict(zip(source.predictions.images.tolist(), source.predictions.patient_ids.tolist(), strict=True))
    return {box.image: box.image.partition("_")[0] for box in _boxes(source) if is_nih(box.image)}


def _minutes(films: int) -> str:
    seconds = films * 0.08
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{round(seconds / 60)} minutes"


def _faithfulness(tested: Faithfulness) -> None:
    """Deletion and insertion curves, and what they say, over all films and by finding."""
    st.subheader("Does the answer follow the map?", anchor=False)
    if tested.deletion is None or tested.insertion is None:
        st.caption(f"Deletion and insertion: {tested.why}.")
        return
    st.caption(
        f"On {tested.n} films of {tested.n_patients} patients, those with the highest probability of each finding "
        f"(Petsiuk 2018). A cell taken out shows {tested.fill}. Below: the mean target, in logits."
    )
    rows = []
    for column, (name, (title, how)) in zip(st.columns(2), ORDERS.items(), strict=True):
        one: Ordered = getattr(tested, name)
        shares = [k / (len(one.curve) - 1) for k in range(len(one.curve))]
        numbers = pd.DataFrame({"share_of_cells": shares, "map": one.curve, "random": one.random_curve})
        with column:
            words = f"{title}: area {SIGNED.estimate(one.difference)} logits beside a random order"
            parts.chart(order_curves(numbers), f"faithful-{name}", numbers, f"{words}.", f"{title}: {how}.")
            st.markdown(f"{words}, better on {PERCENT.estimate(one.better)} of films.")
    for finding, own in {"all": tested, **tested.findings}.items():
        row: dict[str, Any] = {"finding": finding, "films": own.n, "patients": own.n_patients}
        for name in ORDERS:
            if (one := getattr(own, name)) is not None:
                row |= _ends(f"{name}_difference", one.difference) | _ends(f"{name}_better", one.better)
        rows.append(row)
    frame = pd.DataFrame(rows)
    with st.expander("Every finding as a table"):
        st.dataframe(frame, hide_index=True, column_config=_columns(frame))
        parts.numbers_as_csv(frame, "faithful-table")


@st.fragment
def _localisation(source: Source, found: Mapping[str, Localisation], key: str) -> None:
    scored = [name for name in source.labels if name in found]
    if not scored:
        st.info("No film that can be shown has a box of one of this model's findings.")
        return
    chosen = st.segmented_control(
        "Score",
        list(SCORES),
        required=True,
        format_func=lambda name: SCORES[name][0],
        **state.kept("score", "hit", state.one_of(list(SCORES)), widget=f"{key}-score"),
    )
    st.caption(f"{SCORES[chosen][0]}: {SCORES[chosen][1]}. In brackets: films with a box. Bars: 95 % intervals.")
    enough = [name for name in scored if found[name].why is None]
    few = [name for name in scored if name not in enough]
    frame = as_frame(found, scored)
    if enough:
        parts.chart(
            _forest({name: found[name] for name in enough}, chosen),
            f"{key}-{chosen}",
            frame,
            f"{SCORES[chosen][0]} of the model's maps and of random maps, for {len(enough)} findings; numbers below.",
        )
        for name in enough:
            st.markdown(f"- **{parts.title(name)}**: {verdict(found[name])}")
    if few:
        counts = ", ".join(f"{parts.title(name)} ({found[name].n})" for name in few)
        st.caption(
            f"Too few boxes for a statement, fewer than {MIN_FILMS} films: {counts}. Their numbers are in the table, "
            "without intervals."
        )
    with st.expander("All numbers as a table"):
        st.dataframe(frame, hide_index=True, column_config=_columns(frame))
        parts.numbers_as_csv(frame, f"{key}-table")


def _forest(found: dict[str, Localisation], score: str) -> go.Figure:
    """A score of the model's maps beside that of random maps, for every finding."""
    names = [f"{parts.title(name)} ({one.n})" for name, one in found.items()]
    model: list[Row] = []
    control: list[Row] = []
    for name, one in zip(names, found.values(), strict=True):
        note = f"{one.n} films of {one.n_patients} patients"
        for rows, estimate in ((model, one.scores[score]), (control, (one.control or {}).get(score))):
            if estimate is not None:
                rows.append(Row(name, estimate.value, estimate.low, estimate.high, note))
    series = [Series(control, "random map", GREY, "x"), Series(model, "model")]
    return forest(names, series, SCORES[score][0], reach=[-0.02, 1.02], beside=True)


def verdict(one: Localisation) -> str:
    """One sentence on whether the maps do better than noise at the pointing game."""
    gain = one.gain
    control = PERCENT.number(one.control["hit"].value if one.control else None)
    words = (
        f"the maximum lies in the box on {PERCENT.estimate(one.scores['hit'])} of films, a random map's on {control}"
    )
    if one.chance is not None:
        words += f" (boxes cover {PERCENT.number(one.chance)} of a film)"
    if gain is None or gain.low is None or gain.high is None or one.gain_p is None:
        return f"{words}."
    if gain.low > 0:
        return f"{words}: better than noise by {PERCENT.estimate(gain)}."
    if gain.high < 0:
        return f"{words}: worse than noise; the maps point elsewhere."
    return f"{words}: not clearly better than noise, so these maps should not be read as pointing at the finding."


def as_frame(found: Mapping[str, Localisation], scored: list[str]) -> pd.DataFrame:
    """A row per finding: every score, the control's, and the gain."""
    rows = []
    for name in scored:
        one = found[name]
        row = {"finding": name, "films": one.n, "patients": one.n_patients, "maps_without_evidence": one.n_empty}
        for score in (*SCORES, "border_share"):
            row |= _ends(score, one.scores.get(score)) | _ends(f"random_{score}", (one.control or {}).get(score))
        row |= _ends("gain", one.gain) | {"gain_p": one.gain_p, "box_share": one.chance}
        rows.append(row | {"why": one.why or ""})
    return pd.DataFrame(rows)


def _ends(name: str, estimate: Estimate | None) -> dict[str, Any]:
    """An estimate's value and ends as columns; None for None."""
    value, low, high = ends(estimate)
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _columns(frame: pd.DataFrame) -> dict[str, Any]:
    whole = ("finding", "films", "patients", "maps_without_evidence", "why", "gain_p")
    return {name: st.column_config.NumberColumn(format="%.2f") for name in frame.columns if name not in whole}


def _mean_maps(source: Source, study: MapStudy) -> None:
    findings = [name for name in source.labels if name in study.mean_maps]
    if not findings:
        return
    st.subheader("Mean heatmaps", anchor=False)
    border, even = (WHOLE_PERCENT.number(share) for share in (BORDER, EVEN_BORDER))
    st.caption(
        f"The mean map of films with the finding (at most {MEAN_FILMS}), over the whole film, patient's "
        "right on the left. Brighter places contribute more, each finding on its own scale. The dotted line marks the "
        f"outer {border} on each side: an even map has {even} of its mass there, and much "
        "more suggests that the model reads markers or collimation instead of the lungs."
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
        f"Mean map of {parts.title(finding)}: {PERCENT.number(share)} of it in the border.",
    )
    st.caption(f"Border share {PERCENT.number(share)}{_border_verdict(share)}")


def _border_verdict(share: float | None) -> str:
    if share is None:
        return ": no positive contribution on these films"
    if share > EVEN_BORDER + 0.1:
        return ": clearly more than an even map"
    return ""


page()
