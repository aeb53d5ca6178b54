"""A film on the page: where its picture lies, given once for all pages, and its map laid over it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cxrcore.errors import CxrError
from dashboard import cache, parts
from dashboard.heatmaps import analysis_of, film_of, stamp_of
from dashboard.host import may_type_folders
from dashboard.sources.choosing import sentence
from dashboard.sources.pictures import Pictures, data_uri
from dashboard.sources.source import Source

FOLDER = "films-folder"  # where the session keeps the folder; never in a link
SIDE = 768  # pixels of the longest side, as shown
SYNTHETIC = "Drawn by a program from its seed: this shows nobody."


def folder_given() -> str:
    """The folder of pictures, empty until one is given."""
    return st.session_state.get(FOLDER, "")


def choose_folder(source: Source) -> Pictures:
    """Ask for the folder of the pictures of a table's films, and find them; without it, phantoms alone are shown."""
    assert source.predictions is not None
    images = source.predictions.images
    ask_folder(source, images)
    return pictures_of(source, images)


def ask_folder(source: Source, images: np.ndarray, expanded: bool = False) -> None:
    """A field for the folder, which every page then knows; none on a server that strangers can reach."""
    if not may_type_folders():
        return
    drawn = cache.pictures(source, images).some(images)
    words = "Folder of the films" + (" (these are phantoms: drawn again without one)" if drawn else "")
    with st.expander(words, expanded=expanded and not folder_given() and not drawn):
        typed = st.text_input(
            "Folder with the films' pictures, as the dataset came",
            value=folder_given(),
            key="films-folder-typed",
            placeholder="data/nih",
            help="Films are found by name, in subfolders too. Nothing is copied, and no link remembers it.",
        )
    st.session_state[FOLDER] = typed.strip()


def pictures_of(source: Source, images: np.ndarray) -> Pictures:
    """The films that can be shown, from the folder given; what is wrong with it is said."""
    if folder_given():
        try:
            return cache.pictures(source, images, folder_given())
        except CxrError as error:
            st.error(sentence(error))
    return cache.pictures(source, images)


def show_film(source: Source, image: str, finding: str, pictures: Pictures) -> None:
    """The film, its map for the finding over it, and what the model said; sentences where there is no picture."""
    folder = folder_given()
    try:
        film = film_of(image, folder if pictures.folder else "", pictures)
    except CxrError as error:
        st.error(sentence(error))
        return
    if film is None:
        st.info("There is no picture of this film here: give the folder that holds it above." if may_type_folders() else
                "There is no picture of this film here.")  # fmt: skip
        return
    opacity = 0.0
    heat = None
    if source.folder is None:
        st.caption("A heatmap needs the network itself: open the model's folder instead of a table.")
    elif finding not in source.labels:
        st.caption("This model does not speak of this finding.")
    else:
        choice = st.segmented_control("Show", ["Film", "Heatmap"], default="Film", required=True, key="film-layer")
        if choice == "Heatmap":
            opacity = st.slider("Opacity of the heatmap", 0.0, 1.0, 0.6, 0.05, key="film-opacity")
            try:
                shown_from = folder if pictures.folder else ""
                answer = analysis_of(image, shown_from, str(source.folder), stamp_of(source.folder), film)
                heat = answer.heatmaps[finding]
            except CxrError as error:
                st.error(sentence(error))
    if heat is None:
        picture = data_uri(film.pixels, SIDE)
    else:
        from cxrcore.explain.overlay import draw_overlay

        picture = data_uri(draw_overlay(film.pixels, heat, opacity), SIDE)
    st.image(picture, width="stretch", caption=SYNTHETIC if film.encoding == "synthetic" else None)
    if heat is not None:
        st.caption(_said_of(heat, finding))


def _said_of(heat: object, finding: str) -> str:
    strength, evidence = getattr(heat, "strength", None), getattr(heat, "evidence", None)
    if strength is None:
        return "This network's maps have no unit: bright places mattered more than dark ones, and no more is said."
    line = f"Brighter places argue for {parts.title(finding)}; mean positive contribution {strength:.2f} logits"
    if evidence is None:
        return f"{line}."
    return f"{line}, {'more' if evidence else 'no more'} than on 95 % of validation films without it."
