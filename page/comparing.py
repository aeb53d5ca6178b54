"""What the page asks of the server beside an answer: a film's report, other models' answers, a film before it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gradio.components.base import server

from cxrcore.models.shaking import compare_films
from cxrcore.reporting.film_report import FilmReportOptions, render_film
from cxrcore.serving.catalog import Catalog, model_facts
from cxrcore.serving.recent_films import RecentFilms
from page.payloads import Payload, answer, map_payload

_ABOUT = ("name", "kind", "binary", "synthetic", "findings", "population")


class Comparing:
    """Functions of the viewer that the page's JavaScript calls; a request names the film by its token."""

    _catalog: Catalog
    _films: RecentFilms

    @server
    def film_report(self, request: dict[str, Any]) -> Payload:
        """The report of a film that is here, as HTML; ``title`` and ``note`` are what the visitor typed."""

        def work() -> Payload:
            model, token = self._catalog[_text(request, "model")], _text(request, "token")
            options = FilmReportOptions(
                shown=_text(request, "finding"),
                title=_text(request, "title").strip(),
                note=_text(request, "note").strip(),
                synthetic=request.get("synthetic") is True,
                corrected=_text(request, "corrected")[:80],
                overruled=request.get("overruled") is True,
                rule=_text(request, "rule") or FilmReportOptions.rule,
            )
            film, analysis = self._films[token], self._films.analysis(token, model.id)
            return {"kind": "report", "html": render_film(film, model, options, analysis)}

        return answer(work)

    @server
    def opinion(self, request: dict[str, Any]) -> Payload:
        """A model's answer to a film that is here, by its own thresholds, with what a table says of the model."""

        def work() -> Payload:
            name = _text(request, "model")
            model, film = self._catalog[name], self._films[_text(request, "token")]
            facts = model_facts(name, model)
            about = {key: facts[key] for key in _ABOUT}
            return {"kind": "opinion", "about": about, "report": model.predict(film).to_dict()}

        return answer(work)

    @server
    def compare_prior(self, request: dict[str, Any]) -> Payload:
        """The answer to a prior film that is here, its maps, and each finding's change to the film on the screen."""

        def work() -> Payload:
            model, token = self._catalog[_text(request, "model")], _text(request, "token")
            before, after = self._films[_text(request, "prior")], self._films[token]
            now = self._films.analysis(token, model.id) or model.analyse(after)
            then = model.analyse(before)
            changes = compare_films(model, then.prediction, now.prediction, (before, after))
            return {
                "kind": "compared",
                "report": then.prediction.to_dict(),
                "maps": {finding: map_payload(heat) for finding, heat in then.heatmaps.items()},
                "changes": {
                    name: asdict(one) | {"difference": one.difference, "beyond": one.beyond}
                    for name, one in changes.items()
                },
            }

        return answer(work)


def _text(request: dict[str, Any], key: str) -> str:
    return str(request.get(key) or "")
