"""The dashboard's frame: which results are open, and the pages that each answer one question about them.

    streamlit run dashboard/app.py        # or: python -m dashboard, make dashboard

``CXR_MODEL`` names what is open at first (an embedded model, a folder, a predictions table).
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrcore.errors import CxrError
from dashboard import parts, state
from dashboard.choosing import choose_source, sentence

SCREENS = Path(__file__).resolve().parent / "screens"
PAGES = {  # file in screens/ -> title, icon
    "overview": ("Overview", "🩻"),
    "rank": ("Does it rank?", "📈"),
    "threshold": ("What happens at a threshold?", "🎚️"),
    "honesty": ("Are the probabilities honest?", "🎯"),
    "subgroups": ("For whom does it fail?", "👥"),
    "place": ("Does it look in the right place?", "📍"),
    "films": ("Show me the films", "🗂️"),
    "versus": ("Against another model", "⚖️"),
}

st.set_page_config(
    page_title="Chest X-ray classifier: evaluation", page_icon="🩻", layout="wide", initial_sidebar_state=330
)
state.sync()
page = st.navigation(
    [
        st.Page(SCREENS / f"{name}.py", title=title, icon=icon, url_path=name, default=name == "overview")
        for name, (title, icon) in PAGES.items()
        if (SCREENS / f"{name}.py").is_file()
    ],
    expanded=True,
)
with st.sidebar:
    source = choose_source()
    st.segmented_control("Charts are saved as", ["PNG", "SVG"], default="PNG", required=True, key=parts.FORMAT)
    st.caption(parts.NOTE)
st.html("<style>[data-testid=stMainBlockContainer] { padding-top: 3.5rem; padding-bottom: 3rem }</style>")
if source is None:
    st.header(page.title, anchor=False)
    st.write("Choose results on the left: a model's, a folder's, or a table of your own.")
    st.stop()
st.session_state[parts.SOURCE] = source
parts.show_caveats(source, whole=not page.url_path)
for note in source.notes:
    st.caption(f"ℹ️ {parts.escape(note)}")
try:
    page.run()
except CxrError as error:
    st.error(sentence(error))
st.caption(parts.NOTE)
