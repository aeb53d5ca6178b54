"""What happens when a visitor asks: one method an event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gradio as gr

import cxrcore
from cxrcore import Radiograph
from cxrcore.explain.chest import outline_chest
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

    def upload(self, upload: Upload, model: str, visit: gr.Request) -> Iterator[tuple[Payload, None]]:
        """A film was uploaded; the file input is emptied."""
        for payload in self._open(lambda: cxrcore.read_radiograph(upload[1], name=upload[0]), model, visit):
            yield payload, None

    def prior(self, upload: Upload, visit: gr.Request) -> tuple[Payload, None]:
        """A film to compare with the one on the screen was uploaded."""

        def work() -> Payload:
            film = cxrcore.read_radiograph(upload[1], name=upload[0])
            return {"kind": "prior", "token": self.films.add(film, visitor_of(visit))}

        return answer(work) | {"prior": True}, None

    def example(self, event: gr.EventData, visit: gr.Request) -> Iterator[Payload]:
        """A film on offer was chosen."""

        def read() -> Radiograph:
            name = field(event, "file")
            return cxrcore.read_radiograph(EXAMPLES_FOLDER / name if name in self._drawn else fetch_example_film(name))

        yield from self._open(read, field(event, "model"), visit)

    def model(self, event: gr.EventData, visit: gr.Request) -> Payload:
        """Another model was chosen, or the film is to be corrected: it is read again, if there is one."""
        name, token = field(event, "model"), field(event, "token")
        turn, invert, mirror = field(event, "turn"), field(event, "invert") == "true", field(event, "mirror") == "true"

        def work() -> Payload:
            if not token:
                return self._about(name)
            film = self.films[token]
            turns = int(turn) if turn in ("1", "2", "3") else 0  # the page's own words, or a stranger's
            changed = film.corrected(turns, invert, mirror) if turns or invert or mirror else film
            payload = self._analyse(self.films.add(changed, visitor_of(visit)), name)
            self.films.delete(token)
            return payload

        return answer(work) | {"previous_token": token}

    def method(self, event: gr.EventData) -> Payload:
        """Another map of the film was chosen."""
        token, finding, method = (field(event, key) for key in ("token", "finding", "method"))

        def work() -> Payload:
            film = self.films[token]
            heat = self.catalog[field(event, "model")].explain(film, finding, method=method)
            return {"kind": "map", "map": map_payload(heat, outline_chest(film.pixels))}

        return answer(work) | {"asked": {"token": token, "finding": finding, "method": method}}

    def _about(self, name: str) -> Payload:
        return {"kind": "about", "about": model_facts(name, self.catalog[name])}

    def _open(self, read: Callable[[], Radiograph], name: str, visit: gr.Request) -> Iterator[Payload]:
        """The film's token as soon as it is read, so that the page can show it; then the model's answer."""
        payload = answer(lambda: {"kind": "film", "token": self.films.add(read(), visitor_of(visit))})
        yield payload
        if payload["kind"] == "film":
            yield answer(lambda: self._analyse(payload["token"], name))

    def _analyse(self, token: str, name: str) -> Payload:
        """A model's answer to a film in memory, which is deleted where there can be none."""
        started, film = time.perf_counter(), self.films[token]
        try:
            model = self.catalog[name]
            analysis, facts = model.analyse(film), model_facts(name, model)
        except Exception:  # whatever it was: no answer, so the film goes, and the caller says why
            self.films.delete(token)
            raise
        self.films.answered(token, analysis)
        chest = outline_chest(film.pixels)
        return {
            "kind": "result",
            "token": token,
            "maps": {finding: map_payload(heat, chest) for finding, heat in analysis.heatmaps.items()},
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
