"""The dashboard's frame: which results are open, and the pages that each answer one question about them.

    streamlit run dashboard/app.py        # or: python -m dashboard, make dashboard

``CXR_MODEL`` names what is open at first (an embedded model, a folder, a predictions table, user/repo on the Hub).
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrcore.errors import CxrError
from dashboard import host, parts, state
from dashboard.sources import hub
from dashboard.sources.choosing import choose_source, sentence

SCREENS = Path(__file__).resolve().parent / "screens"
PAGES = {  # address -> file in screens/, title, icon
    "overview": ("overview", "Overview", "🩻"),
    "rank": ("rank", "Does it rank?", "📈"),
    "threshold": ("threshold", "What happens at a threshold?", "🎚️"),
    "honesty": ("calibration", "Are the probabilities honest?", "🎯"),
    "subgroups": ("subgroups", "For whom does it fail?", "👥"),
    "place": ("localisation", "Does it look in the right place?", "📍"),
    "films": ("films", "Show me the films", "🗂️"),
    "versus": ("compare", "Against another model", "⚖️"),
}

st.set_page_config(
    page_title="Chest X-ray classifier: evaluation", page_icon="🩻", layout="wide", initial_sidebar_state=330
)
state.sync()
page = st.navigation(
    [
        st.Page(SCREENS / f"{file}.py", title=title, icon=icon, url_path=address, default=address == "overview")
        for address, (file, title, icon) in PAGES.items()
    ],
    expanded=True,
)
above = st.container()
with st.sidebar:
    source = choose_source(above=above)
    st.segmented_control("Charts are saved as", ["PNG", "SVG"], default="PNG", required=True, key=parts.FORMAT)
    if address := host.told().app:
        st.link_button("Try it on a film", address, type="tertiary", icon="🩻")
    st.caption(parts.NOTE)
st.html(
    "<style>[data-testid=stMainBlockContainer] { padding-top: 4.25rem; padding-bottom: 3rem } "
    "[data-testid=stMetricLabel], [data-testid=stMetricLabel] * { white-space: normal !important }</style>"
)
if source is None:
    st.header(page.title, anchor=False)
    st.write("Choose results on the left: a model's, a folder's, or a table of your own.")
    st.stop()
st.session_state[parts.SOURCE] = source
if source.origin:
    hub.offer_newer(source.origin)
parts.show_caveats(source, whole=not page.url_path)
for note in source.notes:
    st.caption(f"ℹ️ {parts.escape(note)}")
try:
    page.run()
except CxrError as error:
    st.error(sentence(error))
st.caption(parts.NOTE)
