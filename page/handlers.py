"""What happens when a visitor asks: one method an event."""

from __future__ import annotations

import time

import gradio as gr

import cxrcore
from cxrcore import Radiograph
from cxrcore.serving.catalog import Catalog, analysis_report, model_facts
from cxrcore.serving.example_films import fetch_example_film
from cxrcore.serving.recent_films import RecentFilms
from page.payloads import EXAMPLES_FOLDER, Payload, answer, drawn_films, map_payload

Upload = tuple[str, bytes]  # name and content


class Handlers:
    """The events of the page, over the models on offer and the films in memory."""

    def __init__(self, catalog: Catalog, films: RecentFilms) -> None:
        self.catalog, self.films = catalog, films
        self._drawn = drawn_films()

    def load(self) -> Payload:
        """A visitor opens the page: the facts of the default model, and the menu as it is now."""
        return answer(lambda: self._about(self.catalog.names[0]) | {"models": self.catalog.menu})

    def unload(self, visit: gr.Request) -> None:
        """A visitor closed the page, perhaps in the middle."""
        self.films.forget(visitor_of(visit))

    def upload(self, upload: Upload, model: str, visit: gr.Request) -> tuple[Payload, None]:
        """A film was uploaded; the file input is emptied."""
        return answer(lambda: self._analyse(cxrcore.read_radiograph(upload[1], name=upload[0]), model, visit)), None

    def example(self, event: gr.EventData, visit: gr.Request) -> Payload:
        """A film on offer was chosen."""

        def work() -> Payload:
            name = field(event, "file")
            path = EXAMPLES_FOLDER / name if name in self._drawn else fetch_example_film(name)
            return self._analyse(cxrcore.read_radiograph(path), field(event, "model"), visit)

        return answer(work)

    def model(self, event: gr.EventData, visit: gr.Request) -> Payload:
        """Another model was chosen, or the film is to be corrected: it is read again, if there is one."""
        name, token = field(event, "model"), field(event, "token")
        turn, invert = field(event, "turn"), field(event, "invert") == "true"

        def work() -> Payload:
            if not token:
                return self._about(name)
            film = self.films[token]
            turns = int(turn) if turn in ("1", "2", "3") else 0  # the page's own words, or a stranger's
            payload = self._analyse(film.corrected(turns, invert) if turns or invert else film, name, visit)
            self.films.delete(token)
            return payload

        return answer(work) | {"previous_token": token}

    def method(self, event: gr.EventData) -> Payload:
        """Another map of the film was chosen."""
        token, finding, method = (field(event, key) for key in ("token", "finding", "method"))

        def work() -> Payload:
            model = self.catalog[field(event, "model")]
            return {"kind": "map", "map": map_payload(model.explain(self.films[token], finding, method=method))}

        return answer(work) | {"asked": {"token": token, "finding": finding, "method": method}}

    def _about(self, name: str) -> Payload:
        return {"kind": "about", "about": model_facts(name, self.catalog[name])}

    def _analyse(self, film: Radiograph, name: str, visit: gr.Request) -> Payload:
        started = time.perf_counter()
        model = self.catalog[name]
        analysis, facts = model.analyse(film), model_facts(name, model)
        return {
            "kind": "result",
            "token": self.films.add(film, analysis, visitor_of(visit)),
            "maps": {finding: map_payload(heat) for finding, heat in analysis.heatmaps.items()},
            "report": analysis_report(film, analysis, facts),
            "about": facts,
            "seconds": round(time.perf_counter() - started, 3),
        }


def visitor_of(visit: gr.Request) -> str:
    """Gradio's name for an open page, which ends when its tab is closed or loaded anew."""
    return str(visit.session_hash or "")


def field(event: gr.EventData, key: str) -> str:
    """A text that the page sent with an event; empty without one."""
    return str(getattr(event, key, None) or "")
