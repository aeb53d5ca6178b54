"""A film on the page: the folder of its picture, which all pages share, and its heatmap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from cxrcore.errors import CxrError
from cxrcore.films.encoding import data_uri
from dashboard import cache, parts, state
from dashboard.heatmaps import analysis_of, film_of, stamp_of
from dashboard.host import may_type_folders
from dashboard.sources.choosing import sentence
from dashboard.sources.pictures import Pictures
from dashboard.sources.source import Source

if TYPE_CHECKING:
    from cxrcore import Heatmap, Radiograph

FOLDER = "films-folder"  # session key; a path is never written into a link
SIDE = 768  # pixels of the longest side, as shown
SYNTHETIC = "Drawn by a program: this is no patient."


def folder_given() -> str:
    """The folder of pictures, empty until one is given."""
    return str(st.session_state.get(FOLDER, ""))


def choose_folder(source: Source) -> Pictures:
    """Ask for the folder of a table's films, and find their pictures; without one, only phantoms are shown."""
    assert source.predictions is not None
    images = source.predictions.images
    ask_folder(source, images)
    return pictures_of(source, images)


def ask_folder(source: Source, images: np.ndarray, expanded: bool = False) -> None:
    """Draw a field for the folder, shared by all pages; nothing on a public server."""
    if not may_type_folders():
        return
    drawn = cache.pictures(source, images).any_available(images)
    words = "Folder of the films" + (" (not needed for phantoms, which are drawn again)" if drawn else "")
    with st.expander(words, expanded=expanded and not folder_given() and not drawn):
        typed = st.text_input(
            "Folder with the films' pictures, as the dataset came",
            value=folder_given(),
            key="films-folder-typed",
            placeholder="data/nih",
            help="Films are found by name, in subfolders too. Nothing is copied, and the path is in no link.",
        )
    st.session_state[FOLDER] = typed.strip()


def pictures_of(source: Source, images: np.ndarray) -> Pictures:
    """The pictures in the folder that was given; shows an error if it cannot be used."""
    if folder_given():
        try:
            return cache.pictures(source, images, folder_given())
        except CxrError as error:
            st.error(sentence(error))
    return cache.pictures(source, images)


def show_film(source: Source, image: str, finding: str, pictures: Pictures) -> None:
    """Draw a film, on request with the heatmap of a finding; a message where there is no picture."""
    folder = folder_given() if pictures.folder else ""
    try:
        film = film_of(image, folder, pictures)
    except CxrError as error:
        st.error(sentence(error))
        return
    if film is None:
        advice = ": give the folder that holds it above." if may_type_folders() else "."
        st.info(f"There is no picture of this film here{advice}")
        return
    heat, opacity = _chosen_heatmap(source, image, finding, folder, film)
    pixels = film.pixels
    if heat is not None:
        from cxrcore.explain.overlay import draw_overlay

        pixels = draw_overlay(film.pixels, heat, opacity)
    caption = SYNTHETIC if film.encoding == "synthetic" else None
    alt = f"Film {image}" + (f" with the heatmap for {parts.title(finding)}" if heat is not None else "")
    st.image(data_uri(pixels, SIDE), width="stretch", caption=caption, alt=alt)
    if heat is not None:
        st.caption(_description(heat, finding))


def _chosen_heatmap(
    source: Source, image: str, finding: str, folder: str, film: Radiograph
) -> tuple[Heatmap | None, float]:
    """Draw the choice of film or heatmap; the heatmap, None unless it is chosen, and its opacity."""
    if source.folder is None:
        st.caption("A heatmap needs the network itself: open the model's folder instead of a table.")
        return None, 0.0
    if finding not in source.labels:
        st.caption("This model does not classify this finding.")
        return None, 0.0
    layers = ["Film", "Heatmap"]
    choice = st.segmented_control(
        "Show", layers, required=True, **state.kept("layer", "Film", state.one_of(layers), widget="film-layer")
    )
    if choice != "Heatmap":
        return None, 0.0
    opacity: float = st.slider(
        "Opacity of the heatmap",
        0.0,
        1.0,
        step=0.05,
        **state.kept("opacity", 0.8, state.number_in(0.0, 1.0), "{:g}".format, widget="film-opacity"),
    )
    try:
        analysis = analysis_of(image, folder, str(source.folder), stamp_of(source.folder), film)
    except CxrError as error:
        st.error(sentence(error))
        return None, opacity
    return analysis.heatmaps[finding], opacity


def _description(heat: Heatmap, finding: str) -> str:
    if heat.strength is None:
        return "This network's maps have no unit: brighter places mattered more than darker ones."
    line = (
        f"Orange and yellow places speak for {parts.title(finding)}, blue ones against; mean positive contribution "
        f"{heat.strength:.2f} logits"
    )
    if heat.evidence is None:
        return f"{line}."
    return f"{line}, {'more' if heat.evidence else 'no more'} than on 95 % of validation films without it."
