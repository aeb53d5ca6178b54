"""What happens when a visitor or a program asks: one method an event."""

from __future__ import annotations

import time
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

    def upload(self, upload: Upload, model: str) -> tuple[Payload, None]:
        """A film was uploaded; the file input is emptied."""
        return answer(lambda: self._analyse(cxrcore.read_radiograph(upload[1], name=upload[0]), model)), None

    def prior(self, upload: Upload) -> tuple[Payload, None]:
        """A film to compare with the one on the screen was uploaded."""

        def work() -> Payload:
            film = cxrcore.read_radiograph(upload[1], name=upload[0])
            return {"kind": "prior", "token": self.films.add(film)}

        return answer(work) | {"prior": True}, None

    def example(self, event: gr.EventData) -> Payload:
        """A film on offer was chosen."""

        def work() -> Payload:
            name = field(event, "file")
            path = EXAMPLES_FOLDER / name if name in self._drawn else fetch_example_film(name)
            return self._analyse(cxrcore.read_radiograph(path), field(event, "model"))

        return answer(work)

    def model(self, event: gr.EventData) -> Payload:
        """Another model was chosen, or the film is to be corrected: it is read again, if there is one."""
        name, token = field(event, "model"), field(event, "token")
        turn, invert = field(event, "turn"), field(event, "invert") == "true"

        def work() -> Payload:
            if not token:
                return self._about(name)
            film = self.films[token]
            turns = int(turn) if turn in ("1", "2", "3") else 0  # the page's own words, or a stranger's
            payload = self._analyse(film.corrected(turns, invert) if turns or invert else film, name)
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

    def _analyse(self, film: Radiograph, name: str) -> Payload:
        started = time.perf_counter()
        model = self.catalog[name]
        analysis, facts = model.analyse(film), model_facts(name, model)
        return {
            "kind": "result",
            "token": self.films.add(film, analysis),
            "maps": {finding: map_payload(heat) for finding, heat in analysis.heatmaps.items()},
            "report": analysis_report(film, analysis, facts["synthetic"], facts["note"]),
            "about": facts,
            "seconds": round(time.perf_counter() - started, 3),
        }


def field(event: gr.EventData, key: str) -> str:
    """A text that the page sent with an event; empty without one."""
    return str(getattr(event, key, None) or "")
