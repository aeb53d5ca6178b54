"""The viewer: one Gradio HTML component whose template, style and ES modules lie in ``assets/app``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any, ClassVar

import gradio as gr
from gradio.components.base import server
from gradio.events import EventListener

from cxrcore.models.erasing import erase
from cxrcore.models.shaking import shake
from cxrcore.resources import ASSETS
from cxrcore.serving.case_sets import CaseSets
from cxrcore.serving.catalog import Catalog
from cxrcore.serving.example_films import fetch_example_film, list_example_films
from cxrcore.serving.recent_films import RecentFilms
from page.lessons import Lessons
from page.payloads import Payload, answer, erased_payload, film_picture, large_film_picture, start_payload

FOLDER = ASSETS / "app"


class FilmViewer(gr.HTML):
    """The film, its findings and its maps, and the choice of a model.

    The value is a payload (``page.payloads``): first the start, then every answer. Events: ``ask_example`` with file
    and model; ``ask_model`` with model and token; ``ask_method`` with token, model, finding and method. The methods
    below are called by the page's JavaScript. Gradio keeps what an event returned for as long as a session lasts, so
    films go to the page through them.
    """

    EVENTS: ClassVar[list[EventListener]] = [  # type: ignore[misc]
        EventListener(f"ask_{what}") for what in ("example", "model", "method")
    ]

    def __init__(self, catalog: Catalog, films: RecentFilms, cases: CaseSets | None = None) -> None:
        self._catalog, self._films = catalog, films
        self._lessons = Lessons(catalog, cases or CaseSets(open_hub=catalog.hub.open_to_visitors))
        super().__init__(
            start_payload(catalog),
            html_template=template(),
            css_template=style(),
            js_on_load=script(),
            apply_default_css=False,
            elem_id="viewer",
        )

    @server
    def picture(self, token: str) -> str:
        """The film as the page shows it; empty once it is deleted."""
        return film_picture(self._films[token]) if token in self._films else ""

    @server
    def large_picture(self, token: str) -> str:
        """The film to save; empty once it is deleted."""
        return large_film_picture(self._films[token]) if token in self._films else ""

    @server
    def forget(self, token: str) -> None:
        """Delete the film from memory."""
        self._films.delete(token)

    @server
    def open_hub(self, request: dict[str, Any]) -> Payload:
        """Fetch a model from the Hub in the background; the page asks again while the kind is ``fetching``."""

        def work() -> Payload:
            reference = str(request.get("reference"))[:200]
            name = self._catalog.hub.poll(reference, newest=bool(request.get("newest")))
            return {"kind": "fetching"} if name is None else {"kind": "opened", "model": self._catalog.entry(name)}

        return answer(work)

    @server
    def newer(self, name: str) -> dict[str, str] | None:
        """The newer revision of a model from the Hub, if there is one."""
        revision = self._catalog.hub.newer(str(name))
        return asdict(revision) if revision else None

    @server
    def shake(self, request: dict[str, Any]) -> Payload:
        """The probabilities of a film that is here, by change."""

        def work() -> Payload:
            model = self._catalog[str(request.get("model"))]
            return {"kind": "shaken", "films": shake(model, self._films[str(request.get("token"))])}

        return answer(work)

    @server
    def erase(self, request: dict[str, Any]) -> Payload:
        """Every finding before and after a region of a film that is here was erased: one forward pass."""

        def work() -> Payload:
            model, token = self._catalog[str(request.get("model"))], str(request.get("token"))
            film, analysis = self._films[token], self._films.analysis(token, model.id)
            return erased_payload(erase(model, film, request.get("box") or (), analysis))

        return answer(work)

    @server
    def fetch_film(self, film_id: str) -> Payload:
        """Fetch a public film into the cache."""
        return answer(lambda: {"kind": "fetched", "name": fetch_example_film(str(film_id)).name})

    @server
    def list_films(self, _: Any = None) -> Payload:
        """Fetch the list of public films."""
        return answer(lambda: {"kind": "films", "films": [asdict(film) for film in list_example_films(refresh=True)]})

    @server
    def learn(self, request: dict[str, Any]) -> Payload:
        """What the mode "Learn to read" asks (see ``page.lessons``)."""
        return answer(lambda: self._lessons.answer(request))


def template() -> str:
    """The page's HTML: ``viewer.html`` with the files that its ``<!-- include FILE -->`` lines name."""
    page = (FOLDER / "viewer.html").read_text("utf-8")
    return re.sub(r"<!-- include ([\w.-]+) -->", lambda found: (FOLDER / found[1]).read_text("utf-8").strip(), page)


def style() -> str:
    """The page's style sheets as one, ``viewer.css`` first."""
    others = (path for path in sorted(FOLDER.glob("*.css")) if path.name != "viewer.css")
    return "\n".join(path.read_text("utf-8") for path in (FOLDER / "viewer.css", *others))


def script() -> str:
    """What the browser runs: every module's source as JSON, and the loader that links them."""
    modules = {path.name: path.read_text("utf-8") for path in sorted(FOLDER.glob("*.js")) if path.name != "load.js"}
    return f"const MODULES = {json.dumps(modules)};\n{(FOLDER / 'load.js').read_text('utf-8')}"
