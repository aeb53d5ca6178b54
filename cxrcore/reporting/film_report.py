"""The report of one film: one HTML page to print or to save, from ``templates/film_report.html``.

It holds the film, the maps of a few findings, every finding's probability and decision, what the input gate says, and
for whom the model holds. Nothing of the patient is in it, not even the file's name, unless somebody types it in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

import cxrcore
from cxrcore.bundle.reference import origin
from cxrcore.errors import CxrError
from cxrcore.explain.heatmap import Heatmap
from cxrcore.explain.overlay import OPACITY, draw_overlay, scale_strip
from cxrcore.films.encoding import data_uri
from cxrcore.films.radiograph import Radiograph
from cxrcore.findings import Kind
from cxrcore.models.base import Analysis, Model, Prediction
from cxrcore.models.shaking import spread
from cxrcore.resources import load_template
from cxrcore.serving.catalog import model_facts
from cxrcore.serving.notices import DISCLAIMER, SYNTHETIC_MODEL
from cxrcore.text import NumberFormat

MAPS = 3  # on one page
ROWS = 18  # of the table; further findings go into one line below it
MOST_TYPED = {"title": 90, "note": 400}  # characters
_FILM_SIDE, _MAP_SIDE = 1000, 800  # pixels of the longest side
_FAINT = 0.45  # of the opacity, where such maps point no better than random ones; as on the page
_SYNTHETIC_FILM = "This film is drawn by a program and shows nobody."
_AREA = NumberFormat(between="–")


@dataclass(frozen=True)
class FilmReportOptions:
    """What a person chooses for the report of a film. Raises CxrError for more than one page holds."""

    findings: tuple[str, ...] = ()  # whose maps are drawn; empty: those above their threshold, else the likeliest
    shown: str = ""  # without ``findings``: one whose map is drawn first, such as the one on a screen
    title: str = ""  # typed in
    note: str = ""  # typed in
    synthetic: bool = False  # the film was drawn by a program
    corrected: str = ""  # how the film was put right before it was read, e.g. "turned by 180°"
    overruled: bool = False  # findings were asked for although the gate refused the film
    rule: str = "own"  # key of ``serving.decisions``: another way to decide than the model's own thresholds

    def __post_init__(self) -> None:
        if len(self.findings) > MAPS:
            raise CxrError(f"a report has room for {MAPS} maps, and {len(self.findings)} findings were named")
        for field, most in MOST_TYPED.items():
            if len(getattr(self, field)) > most:
                raise CxrError(f"the {field} of a report has at most {most} characters, as it is one page")


@dataclass(frozen=True)
class _Row:
    """One finding in the table."""

    title: str
    probability: str
    interval: str
    threshold: str
    decision: str
    alarm: bool  # a disease above its threshold
    auroc: str


def render_film(
    film: Radiograph,
    model: Model,
    options: FilmReportOptions | None = None,
    analysis: Analysis | None = None,
    at: datetime | None = None,
) -> str:
    """The page as HTML that asks nothing of another address.

    analysis: the film's answer by this model, where it is at hand; ``at``: the time on the page, now unless given. Ten
    forward passes more give how far each probability moves on the changed film (``models.shaking.spread``). Raises
    LabelMismatch for an unknown finding, CxrError for an unknown rule.
    """
    options, at = options or FilmReportOptions(), at or datetime.now().astimezone()
    analysis = analysis or model.analyse(film)
    prediction, facts = analysis.prediction, model_facts(model.name, model)
    choice = _choice(facts["decisions"], options.rule)
    positive = _decided(model, prediction, choice)
    usual = ((options.shown,) * bool(options.shown)) + mapped_findings(model, prediction.probabilities, positive)
    wanted = dict.fromkeys(options.findings or usual)
    for name in wanted:
        model.labels.index(name)
    rows = _rows(model, prediction, positive, choice, spread(model, film), _tested(facts))
    return load_template("cxrcore.reporting", "film_report.html").render(
        options=options,
        rows=rows[:ROWS],
        rest=rows[ROWS:],
        decided_by=choice["title"] if choice else "",
        disclaimer=DISCLAIMER,
        version=cxrcore.__version__,
        time=f"{at.day} {at:%B %Y, %H:%M %Z}".strip(),
        **_film_part(film, prediction),
        **_maps_part(film, [analysis.heatmaps[name] for name in wanted], prediction, facts),
        **_model_part(model, prediction, facts, options),
    )


def _film_part(film: Radiograph, prediction: Prediction) -> dict[str, Any]:
    """What the page shows of the film: its picture, its facts, and what is said about it."""
    return {
        "film": film,
        "depth": f"{film.bits} bit" if film.bits == film.bits_stored else f"{film.bits} of {film.bits_stored} bit used",
        "picture": data_uri(film.pixels, _FILM_SIDE, "JPEG", quality=90),
        "fingerprint": hashlib.sha256(film.pixels.tobytes()).hexdigest()[:12],
        "gate": prediction.gate,
        "warnings": [*dict.fromkeys(prediction.warnings)],
    }


def _maps_part(
    film: Radiograph, heats: Sequence[Heatmap], prediction: Prediction, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """The maps and their scale; and the findings without one, for want of evidence or of room."""
    drawn = [heat for heat in heats if heat.evidence is not False]
    return {
        "maps": [_map(film, heat, prediction, facts) for heat in drawn[:MAPS]],
        "quiet": [_title(facts, heat.finding).lower() for heat in heats if heat.evidence is False],
        "further": [_title(facts, heat.finding).lower() for heat in drawn[MAPS:]],
        "legend": _legend(drawn[0]) if drawn else None,
    }


def _model_part(
    model: Model, prediction: Prediction, facts: Mapping[str, Any], options: FilmReportOptions
) -> dict[str, Any]:
    """Whose answer it is, for whom it holds, and how well it was measured."""
    return {
        "model": prediction.model,
        "hub": origin(model.folder) if model.folder else None,
        "population": facts["population"],
        "tested": _scores_line(facts),
        "notices": _notices(facts, options),
        "passes": "and its nine changes" + (" and each member alone" if facts["members"] else ""),
    }


def mapped_findings(
    model: Model, probabilities: Mapping[str, float], positive: Mapping[str, bool | None]
) -> tuple[str, ...]:
    """The diseases whose maps are wanted: those above their threshold, the likeliest first; else the likeliest."""
    diseases = sorted(model.labels.abnormal or model.labels, key=lambda name: -probabilities[name])
    return tuple([name for name in diseases if positive[name]] or diseases[:1])


def _choice(choices: Sequence[dict[str, Any]], rule: str) -> dict[str, Any] | None:
    """The chosen way to decide; None for the model's own."""
    if rule == FilmReportOptions.rule:
        return None
    choice = next((one for one in choices if one["key"] == rule), None)
    if choice is None:
        raise CxrError(f"this model does not decide by {rule[:60]!r}")
    return choice


def _decided(model: Model, prediction: Prediction, choice: dict[str, Any] | None) -> dict[str, bool | None]:
    """Each finding's answer by the choice; of three answers, None is unsure."""
    if choice is None:
        return prediction.positive
    if "out" not in choice:
        cuts = {name: choice["thresholds"].get(name) for name in model.labels}
        return {n: None if cut is None else prediction.probabilities[n] >= cut for n, cut in cuts.items()}
    answers: dict[str, bool | None] = {}
    for name, share in prediction.probabilities.items():
        out, into = choice["out"][name], choice["into"][name]
        below, above = out is not None and share < out, into is not None and share > into
        answers[name] = False if below else True if above else None
    return answers


def _rows(
    model: Model,
    prediction: Prediction,
    positive: Mapping[str, bool | None],
    choice: dict[str, Any] | None,
    intervals: Mapping[str, tuple[float, float]],
    tested: Mapping[str, Any],
) -> list[_Row]:
    """Of several findings those above their threshold first; of classes the likeliest first."""
    several = model.labels.kind is Kind.MULTILABEL or (choice is not None and "out" in choice)
    order = sorted(
        model.labels, key=lambda name: (not (several and positive[name] is True), -prediction.probabilities[name])
    )
    return [_row(model, prediction, positive[name], choice, intervals[name], tested.get(name), name) for name in order]


def _row(
    model: Model,
    prediction: Prediction,
    positive: bool | None,
    choice: dict[str, Any] | None,
    interval: tuple[float, float],
    scores: Mapping[str, Any] | None,
    name: str,
) -> _Row:
    threshold, decision = _verdict(model, prediction, positive, choice, name)
    return _Row(
        title=model.labels[name].title,
        probability=percent(prediction.probabilities[name]),
        interval=" to ".join(map(percent, interval)),
        threshold=threshold,
        decision=decision,
        alarm=positive is True and name in model.labels.abnormal,
        auroc=_AREA.estimate((scores or {}).get("auroc")),
    )


def _verdict(
    model: Model, prediction: Prediction, positive: bool | None, choice: dict[str, Any] | None, name: str
) -> tuple[str, str]:
    """The threshold and the decision, in words."""
    if model.labels.binary and name == model.labels.normal:
        return "–", "–"  # the complement of the disease, which has the threshold
    if choice is not None and "out" in choice:
        limits = [("below", choice["out"][name]), ("above", choice["into"][name])]
        words = ", ".join(f"{side} {whole_percent(limit)}" for side, limit in limits if limit is not None)
        return words or "–", {True: "ruled in", False: "ruled out", None: "unsure"}[positive]
    threshold = choice["thresholds"].get(name) if choice else prediction.thresholds[name]
    if positive is None:
        return "–", "no known threshold"
    if threshold is None:
        return "–", "the most likely" if positive else "less likely"
    return whole_percent(threshold), "above" if positive else "below"


def _map(film: Radiograph, heat: Heatmap, prediction: Prediction, facts: Mapping[str, Any]) -> dict[str, Any]:
    """One finding's picture and its caption."""
    noise = _points_like_noise(facts, heat.finding)
    pixels = draw_overlay(film.pixels, heat, OPACITY * (_FAINT if noise else 1))
    return {
        "title": _title(facts, heat.finding),
        "picture": data_uri(pixels, _MAP_SIDE, "JPEG", quality=88),
        "probability": percent(prediction.probabilities[heat.finding]),
        "said": "Drawn faintly: such maps were measured to point no better than noise." if noise else "",
    }


def _title(facts: Mapping[str, Any], finding: str) -> str:
    return next(str(one["title"]) for one in facts["findings"] if one["name"] == finding)


def _points_like_noise(facts: Mapping[str, Any], finding: str) -> bool:
    """Whether maps of the finding were measured against boxes, and hit them no more often than random maps."""
    for scores in sorted(facts["evaluations"], key=lambda one: "test" not in str(one.get("split"))):
        located = (scores["findings"].get(finding) or {}).get("localisation") or {}
        hit, noise = (located.get(key) or {} for key in ("hit", "noise"))
        if isinstance(hit.get("value"), int | float):
            low, chance = hit.get("low"), noise.get("value")
            return isinstance(low, int | float) and isinstance(chance, int | float) and low <= chance
    return False


def _legend(heat: Heatmap) -> dict[str, Any]:
    """The colours of the maps as a picture, and the words below its ends and middle."""
    scaled = heat.scale == "logit"
    most = heat.ceiling or float(np.maximum(heat.signed, 0).max())
    number = f"{most:.{1 if most < 10 else 0}f}"
    return {
        "strip": data_uri(scale_strip(256, 8, against=scaled), None, "PNG"),
        "ticks": [f"−{number} logits or less", "0", f"{number} logits"] if scaled else ["least", "most on each map"],
        "scaled": scaled,
    }


def _tested(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The findings' scores on test films, or on whatever the model was scored on last."""
    scores = _test_scores(facts)
    return scores["findings"] if scores else {}


def _test_scores(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    evaluations: list[dict[str, Any]] = facts["evaluations"]
    tests = [one for one in evaluations if "test" in str(one.get("split"))]
    return next(iter(tests or evaluations[-1:]), None)


def _scores_line(facts: Mapping[str, Any]) -> str:
    """On which films the AUROC was measured."""
    scores = _test_scores(facts)
    if scores is None:
        return "How good this model is was not measured: it carries no scores."
    people = f" of {scores['n_patients']:,} patients" if isinstance(scores.get("n_patients"), int) else ""
    films = f"{scores['n']:,} films{people}" if isinstance(scores.get("n"), int) else "films"
    return f"AUROC (95 % interval) on {films}: {scores.get('dataset')}, {scores.get('split')}."


def _notices(facts: Mapping[str, Any], options: FilmReportOptions) -> list[str]:
    """What must be read before the numbers."""
    drawn = [_SYNTHETIC_FILM] if options.synthetic else []
    if options.synthetic and not facts["synthetic"]:
        drawn.append("What a model that learned from people’s films says of it means nothing.")
    learned = [SYNTHETIC_MODEL] if facts["synthetic"] and not options.synthetic else []
    caution = facts["caution"][:300]
    return [" ".join(drawn)] * bool(drawn) + learned + [f"The model’s own warning: {caution}"] * bool(caution)


def percent(share: float) -> str:
    """A probability as on the page: one decimal, never 0 or 100.

    >>> percent(0.4567), percent(0.0001), percent(0.9999)
    ('45.7 %', '< 0.1 %', '> 99.9 %')
    """
    if share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if share > 0.9995 else f"{100 * share:.1f} %"


def whole_percent(share: float) -> str:
    """A threshold as on the page: ``4.4 %``, ``80 %``."""
    return f"{100 * share:.{1 if share < 0.1 else 0}f} %"
