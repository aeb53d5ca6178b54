"""The public endpoints for programs: each takes a film as a file, answers once, and keeps nothing.

The answers' types below are their JSON schemas; ``docs/api.md`` is written from them (``docs/api_page.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import gradio as gr
from pydantic import Field
from typing_extensions import TypedDict  # pydantic reads schemas from no other before Python 3.12

import cxrcore
from cxrcore import Radiograph
from cxrcore.errors import CxrError
from cxrcore.explain.chest import outline_chest
from cxrcore.models.answer_words import sentence
from cxrcore.models.base import Model
from cxrcore.models.erasing import erase
from cxrcore.models.shaking import shake
from cxrcore.serving.catalog import Catalog, ModelSummary, analysis_report, model_facts
from page.payloads import Payload, answer, erased_payload, map_payload

Upload = tuple[str, bytes]  # name and content
Numbers = dict[str, float]  # finding to number


def says(words: str) -> Any:
    """What a key of an answer holds."""
    return Field(description=words)


class Models(TypedDict):
    """Answer of ``/models``."""

    models: Annotated[
        list[ModelSummary],
        says(
            "each with `name` (how it is opened), `labels`, `kind` (multilabel or multiclass), `findings` in the order "
            "of every answer, `architecture`, `notices`, `population` (for whom its numbers hold) and `note`"
        ),
    ]


class Explanation(TypedDict):
    """Answer of ``/explain``."""

    model: Annotated[str, says("name and digest of the weights")]
    finding: Annotated[str, says("as asked")]
    method: Annotated[str, says("as asked")]
    sentence: Annotated[str, says("probability, threshold and map in words; of Grad-CAM's map alone")]
    scale: Annotated[str | None, says("`logit`, or null where the values only rank places")]
    strength: Annotated[float | None, says("mean positive contribution, in logits; null without a logit scale")]
    evidence: Annotated[bool | None, says("whether the strength exceeds that of 95 % of films without the finding")]
    evidence_level: Annotated[float | None, says("that level, in logits; null where it was not measured")]
    ceiling: Annotated[float | None, says("the value drawn in full colour, in logits")]
    target: Annotated[float | None, says("what the map explains, in logits: the mean of `rows` plus `bias`")]
    bias: Annotated[float | None, says("in logits")]
    shape: Annotated[list[int], says("rows and columns")]
    rows: Annotated[list[list[float]], says("signed contributions by place, top row first")]
    box: Annotated[list[float], says("the film's place in the map: left, top, right, bottom in shares of the map")]
    boxes: Annotated[list[list[float]], says("boxes around the strongest places, in shares of the film")]
    outside: Annotated[float | None, says("share of the positive part outside the chest; null without a positive part")]
    chest: Annotated[
        list[list[float]] | None,
        says("corners of the chest, x and y in shares of the film; null: not outlined, the central 80 % counts"),
    ]
    note: Annotated[str, says("for whom the model holds, and that it is for research and teaching")]


class Shaken(TypedDict):
    """Answer of ``/shake``."""

    model: Annotated[str, says("name and digest of the weights")]
    probabilities: Annotated[Numbers, says("finding to its probability on the film as it is")]
    changed: Annotated[dict[str, Numbers], says("change to finding to its probability on the changed film")]
    intervals: Annotated[dict[str, list[float]], says("finding to its least and greatest probability of all of them")]
    note: Annotated[str, says("as above")]


class ErasedFinding(TypedDict):
    """One finding before and after a region was erased."""

    probabilities: list[float]  # before, after
    targets: list[float]  # before, after; what the map explains, in logits
    claim: float | None  # what the map says the region contributes, in logits
    move: float  # by how much the target moved, in logits; about -claim where the map is right


class Erasure(TypedDict):
    """Answer of ``/erase``."""

    model: Annotated[str, says("name and digest of the weights")]
    box: Annotated[list[float], says("the region, on whole pixels of the network's input, in shares of the film")]
    findings: Annotated[
        dict[str, ErasedFinding],
        says(
            "finding to `probabilities` and `targets` (logits) before and after, the map's `claim` of what the region "
            "contributes and the target's `move`, both in logits; about opposite where the map is right"
        ),
    ]
    note: Annotated[str, says("as above")]


class Api:
    """The endpoints over the models on offer."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def models(self) -> Models:
        """The models that can be asked, the default first, with their findings and for whom they hold."""
        return _answered(lambda: {"models": self.catalog.summaries})

    def analyse(self, film: Upload | None, model: str) -> dict[str, Any]:
        """Analyse one film: calibrated probabilities, decisions at the operating points, and each map's strength.

        The upload is deleted as soon as it is read. For research and teaching only, never for diagnosis.
        """
        return self._of_film(
            film, model, lambda film, opened, facts: analysis_report(film, opened.analyse(film), facts)
        )

    def explain(self, film: Upload | None, model: str, finding: str, method: str) -> Explanation:
        """Show where one finding's evidence lies: signed contributions by place, and boxes around the strongest.

        method: gradcam, gradcam++, layercam, hirescam, eigencam or random. The upload is deleted as soon as it is read.
        """

        def work(film: Radiograph, opened: Model, facts: Payload) -> Payload:
            heat, prediction = opened.explain(film, finding, method=method), opened.predict(film)
            words = sentence(opened.labels, prediction, finding, heat if method == "gradcam" else None)
            told = {"model": opened.id, "sentence": words, "note": facts["caveats"]}
            drawn = map_payload(heat, outline_chest(film.pixels))
            return {key: (told | drawn)[key] for key in Explanation.__annotations__}

        return self._of_film(film, model, work)

    def shake(self, film: Upload | None, model: str) -> Shaken:
        """Say whether the answer holds when tone, framing or file quality change, and the patient does not.

        Nine changes in one batch. The upload is deleted as soon as it is read.
        """

        def work(film: Radiograph, opened: Model, facts: Payload) -> Payload:
            probabilities, changed = opened.predict(film).probabilities, shake(opened, film)
            readings = [probabilities, *changed.values()]
            moves = {name: [least([one[name] for one in readings]) for least in (min, max)] for name in opened.labels}
            answers = {"probabilities": probabilities, "changed": changed, "intervals": moves}
            return {"model": opened.id, **answers, "note": facts["caveats"]}

        return self._of_film(film, model, work)

    def erase(self, film: Upload | None, model: str, left: float, top: float, right: float, bottom: float) -> Erasure:
        """Fill a region of the film from its surroundings and read it again: does the answer need that region?

        left, top, right and bottom are shares of the film's width and height, between 0 and 1. The upload is deleted as
        soon as it is read.
        """

        def work(film: Radiograph, opened: Model, facts: Payload) -> Payload:
            erased = erase(opened, film, (left, top, right, bottom))
            shown = erased_payload(erased)
            return {"model": opened.id, "box": shown["box"], "findings": shown["findings"], "note": facts["caveats"]}

        return self._of_film(film, model, work)

    def _of_film(self, film: Upload | None, model: str, work: Callable[[Radiograph, Model, Payload], Payload]) -> Any:
        def read() -> Payload:
            if film is None:
                raise CxrError("There is no film in this request; send one file.")
            opened, radiograph = self.catalog[model], cxrcore.read_radiograph(film[1], name=film[0])
            return work(radiograph, opened, model_facts(model, opened))

        return _answered(read)


def _answered(work: Callable[[], Payload]) -> Any:
    """The work's answer; a mistake of the caller's is one sentence."""
    outcome = answer(lambda: {"kind": "report", "report": work()})
    if outcome["kind"] == "error":
        raise gr.Error(outcome["message"], print_exception=False)
    return outcome["report"]


def add_endpoints(catalog: Catalog, film: gr.File, model: gr.Textbox, limits: dict[str, Any]) -> None:
    """Put the public endpoints into the page that is being built, over its own hidden inputs for film and model."""
    api, report = Api(catalog), gr.JSON(label="Answer", visible=False)
    first = catalog.summaries[0]["findings"] if catalog.summaries else [""]
    finding = gr.Textbox(first[0], label="Finding", visible=False)
    method = gr.Textbox("gradcam", label="Method", visible=False)
    sides = {"Left": 0.25, "Top": 0.25, "Right": 0.75, "Bottom": 0.75}
    box = [gr.Number(value, label=side, visible=False) for side, value in sides.items()]
    inputs: dict[str, list[Any]] = {
        "analyse": [film, model],
        "models": [],
        "explain": [film, model, finding, method],
        "shake": [film, model],
        "erase": [film, model, *box],
    }
    for name, fields in inputs.items():
        gr.Button(visible=False).click(
            getattr(api, name), fields, report, api_name=name, api_visibility="public", **limits
        )


ANSWERS: dict[str, Any] = {"models": Models, "explain": Explanation, "shake": Shaken, "erase": Erasure}  # and /analyse
