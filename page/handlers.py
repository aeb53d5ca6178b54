"""What happens when a visitor or a program asks: one method an event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

import cxrcore
from cxrcore import Radiograph
from cxrcore.errors import CxrError
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

    def upload(self, upload: Upload, model: str) -> Iterator[tuple[Payload, None]]:
        """A film was uploaded; the file input is emptied."""
        for payload in self._open(lambda: cxrcore.read_radiograph(upload[1], name=upload[0]), model):
            yield payload, None

    def example(self, event: gr.EventData) -> Iterator[Payload]:
        """A film on offer was chosen."""

        def read() -> Radiograph:
            name = field(event, "file")
            return cxrcore.read_radiograph(EXAMPLES_FOLDER / name if name in self._drawn else fetch_example_film(name))

        yield from self._open(read, field(event, "model"))

    def model(self, event: gr.EventData) -> Payload:
        """Another model was chosen, or the film is to be corrected: it is read again, if there is one."""
        name, token = field(event, "model"), field(event, "token")
        turn, invert, mirror = field(event, "turn"), field(event, "invert") == "true", field(event, "mirror") == "true"

        def work() -> Payload:
            if not token:
                return self._about(name)
            film = self.films[token]
            turns = int(turn) if turn in ("1", "2", "3") else 0  # the page's own words, or a stranger's
            changed = film.corrected(turns, invert, mirror) if turns or invert or mirror else film
            payload = self._analyse(self.films.add(changed), name)
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

    def api_analyse(self, film: Upload | None, model: str) -> dict[str, Any]:
        """Analyse one film: calibrated probabilities, decisions at the operating points, and each map's strength.

        The upload is deleted as soon as it is read. For research and teaching only, never for diagnosis.
        """

        def work() -> Payload:
            if film is None:
                raise CxrError("There is no film in this request; send one file.")
            radiograph, classifier = cxrcore.read_radiograph(film[1], name=film[0]), self.catalog[model]
            facts, analysis = model_facts(model, classifier), classifier.analyse(radiograph)
            return {
                "kind": "report",
                "report": analysis_report(radiograph, analysis, facts["synthetic"], facts["note"]),
            }

        outcome = answer(work)
        if outcome["kind"] == "error":
            raise gr.Error(outcome["message"], print_exception=False)
        report: dict[str, Any] = outcome["report"]
        return report

    def _about(self, name: str) -> Payload:
        return {"kind": "about", "about": model_facts(name, self.catalog[name])}

    def _open(self, read: Callable[[], Radiograph], name: str) -> Iterator[Payload]:
        """The film's token as soon as it is read, so that the page can show it; then the model's answer."""
        payload = answer(lambda: {"kind": "film", "token": self.films.add(read())})
        yield payload
        if payload["kind"] == "film":
            yield answer(lambda: self._analyse(payload["token"], name))

    def _analyse(self, token: str, name: str) -> Payload:
        """A model's answer to a film in memory, which is deleted where there can be none."""
        started, film = time.perf_counter(), self.films[token]
        try:
            model = self.catalog[name]
            analysis, facts = model.analyse(film), model_facts(name, model)
        except Exception:
            self.films.delete(token)
            raise
        self.films.answered(token, analysis)
        return {
            "kind": "result",
            "token": token,
            "maps": {finding: map_payload(heat) for finding, heat in analysis.heatmaps.items()},
            "report": analysis_report(film, analysis, facts["synthetic"], facts["note"]),
            "about": facts,
            "seconds": round(time.perf_counter() - started, 3),
        }


def field(event: gr.EventData, key: str) -> str:
    """A text that the page sent with an event; empty without one."""
    return str(getattr(event, key, None) or "")
