"""The dashboard's frame: the sidebar with the open results, and the pages, each of which answers one question.

    streamlit run dashboard/app.py        # or: python -m dashboard, make dashboard

``CXR_MODEL`` names what is open at first (an embedded model, a folder, a predictions table, user/repo on the Hub).
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrcore.errors import CxrError
from dashboard import host, parts, state
from dashboard.report import offer_report
from dashboard.sources import hub
from dashboard.sources.choosing import choose_source, sentence

SCREENS = Path(__file__).resolve().parent / "screens"
PAGES = {  # address -> file in screens/, title
    "overview": ("overview", "Overview"),
    "rank": ("rank", "Ranking (ROC curves)"),
    "threshold": ("threshold", "Decisions at a threshold"),
    "triage": ("triage", "Three answers"),
    "honesty": ("calibration", "Calibration"),
    "subgroups": ("subgroups", "Subgroups of patients"),
    "audit": ("audit", "Other explanations (audit)"),
    "place": ("localisation", "Localisation (heatmaps)"),
    "films": ("films", "Single films"),
    "versus": ("compare", "Comparison with another model"),
    "readers": ("readers", "Readers (people)"),
    "drift": ("drift", "Drift (two sets of films)"),
    "checklists": ("checklists", "Reporting checklists"),
}


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title="Chest X-ray classifier: evaluation", layout="wide", initial_sidebar_state=330)
    page = st.navigation(
        [
            st.Page(SCREENS / f"{file}.py", title=title, url_path=address, default=address == "overview")
            for address, (file, title) in PAGES.items()
        ],
        expanded=True,
    )
    state.sync(page.url_path)
    above = st.container()
    with st.sidebar:
        source = choose_source(above=above)
        pictures = ["PNG", "SVG"]
        st.segmented_control(
            "Save charts as",
            pictures,
            required=True,
            **state.kept("format", "PNG", state.one_of(pictures), widget=parts.FORMAT),
        )
        if address := host.deployment().app:
            st.link_button("Try it on a film", address, type="tertiary")
        st.caption(parts.NOTE)
    st.html(
        "<style>[data-testid=stMainBlockContainer] { padding-top: 4.25rem; padding-bottom: 3rem } "
        "[data-testid=stMetricLabel], [data-testid=stMetricLabel] * { white-space: normal !important } "
        "[data-testid=stCaptionContainer], [data-testid=stCaptionContainer] p { color: inherit !important } "
        "[data-testid=stCaptionContainer] { opacity: 0.75 } "
        "[data-testid=stMarkdownContainer] table { width: 100% } "
        "[data-testid=stMarkdownContainer] td:last-child { overflow-wrap: anywhere }</style>"
    )
    if source is None:
        st.header(page.title, anchor=False)
        st.write("Choose results in the sidebar: of a model, of a folder, or of a table of your own.")
        return
    st.session_state[parts.SOURCE] = source
    if source.origin:
        hub.offer_newer(source.origin)
    parts.show_notices(source, whole=not page.url_path)
    for note in source.notes:
        st.caption(f"Note: {parts.escape(note)}")
    try:
        page.run()
    except CxrError as error:
        st.error(sentence(error))
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(parts.NOTE, width="content")
        offer_report(source, page.url_path, page.title)


if __name__ == "__main__":  # a process that is spawned while a page is open runs this file under another name
    main()
