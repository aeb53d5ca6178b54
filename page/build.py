"""The page and its public endpoints, put together."""

from __future__ import annotations

import os
from typing import Any

import gradio as gr

from cxrcore.serving.case_sets import CaseSets
from cxrcore.serving.catalog import Catalog, open_catalog
from cxrcore.serving.hub_catalog import MAX_FETCHES
from cxrcore.serving.recent_films import RecentFilms
from page.api import add_endpoints
from page.handlers import Handlers
from page.many import ROUTES as MANY_ROUTES
from page.payloads import MAX_UPLOAD_BYTES
from page.upload import ROUTES, FilmUpload, speak_json
from page.viewer import FilmViewer

CHOSEN_MODEL = """(film, _) => [film, document.querySelector("#viewer [data-part=model]").value]"""


class Page(gr.Blocks):
    """The page, ready to be launched."""

    catalog: Catalog

    def launch(self, **options: Any) -> Any:  # type: ignore[override]
        """As ``gr.Blocks.launch``; films stay on this computer, and nothing is recorded."""
        theme = gr.themes.Base(primary_hue="teal", font=["system-ui", "sans-serif"], font_mono=["monospace"])
        defaults: dict[str, Any] = {
            "app_kwargs": {"routes": ROUTES + MANY_ROUTES},
            "theme": theme.set(body_background_fill="#f4f5f7", body_background_fill_dark="#0e1114"),
            "footer_links": ["api"],
            "max_file_size": MAX_UPLOAD_BYTES,
            "run_history": False,  # Gradio's default keeps every run in the visitor's browser
            "enable_monitoring": False,
            "state_session_capacity": 64,
            "share": False,
            "ssr_mode": False,
            "quiet": True,
            "prevent_thread_lock": True,
        }
        launched = super().launch(**(defaults | options))
        if self.mcp_server_obj:
            speak_json(self.mcp_server_obj)
        return launched


def build_app(model_name: str | None = None, models: Catalog | None = None, cases: CaseSets | None = None) -> Page:
    """The page over ``models``, else over the embedded ones with ``model_name`` first; ``cases``: sets to read.

    Raises BundleNotFound for a model name that does not exist.
    """
    catalog, films = models or open_catalog(model_name), RecentFilms()
    handlers = Handlers(catalog, films)
    with Page(title="Chest X-ray classifier", analytics_enabled=False, delete_cache=(60, 120)) as page:
        page.catalog = catalog
        viewer = FilmViewer(catalog, films, cases)
        upload = FilmUpload(label="Film", elem_id="film-upload", visible="hidden")
        prior = FilmUpload(label="Prior film", elem_id="prior-upload", visible="hidden")
        model = gr.Textbox(catalog.names[0], label="Model", elem_id="chosen-model", visible="hidden")
        limit = min(4, os.cpu_count() or 1) + MAX_FETCHES
        limits: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": limit}
        private = limits | {"api_visibility": "private", "show_progress": "hidden"}
        page.load(handlers.load, None, viewer, **private)
        page.unload(handlers.unload)
        upload.upload(handlers.upload, [upload, model], [viewer, upload], js=CHOSEN_MODEL, **private)
        prior.upload(handlers.prior, prior, [viewer, prior], **private)
        viewer.ask_example(handlers.example, None, viewer, **private)
        viewer.ask_model(handlers.model, None, viewer, **private)
        viewer.ask_method(handlers.method, None, viewer, **private)
        add_endpoints(catalog, upload, model, limits)
    return page.queue(max_size=64)
