"""What the mode "Learn to read" asks of the server: sets, films, the model's answer, the truth, a round's scores."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from cxrcore.datasets.case_set import Case, CaseSet, Corners
from cxrcore.errors import CxrError, InvalidPredictions
from cxrcore.evaluation.readers import BOX_RULE, CALL_RULE, box_scores, score_reading
from cxrcore.evaluation.readings import Reading, exclusive, to_frame
from cxrcore.findings import Kind
from cxrcore.serving.case_sets import MOST_PHANTOMS, CaseSets
from cxrcore.serving.catalog import Catalog
from page.payloads import Payload, film_picture, map_payload, values_payload

_MOST_BOXES = 20  # of a finding on a film


class Lessons:
    """The mode's questions over the models and the sets on offer. Nothing of a round is kept here."""

    def __init__(self, catalog: Catalog, sets: CaseSets) -> None:
        self.catalog, self.sets = catalog, sets
        self._answers = {
            "sets": self._menu,
            "set": self._set,
            "film": self._film,
            "model": self._model,
            "truth": self._truth,
            "score": self._score,
        }

    def answer(self, request: Mapping[str, Any]) -> Payload:
        """The payload for a request, whose ``ask`` is one of the above. Raises CxrError."""
        ask = self._answers.get(str(request.get("ask")))
        if ask is None:
            raise CxrError("The page asked for something that this server does not know; load the page again.")
        return ask(request)

    def _menu(self, _: Mapping[str, Any]) -> Payload:
        return {"kind": "sets", "sets": self.sets.menu, "hub": self.sets.open_hub, "most": MOST_PHANTOMS}

    def _set(self, request: Mapping[str, Any]) -> Payload:
        chosen = self.sets[str(request.get("address"))]
        model = self._model_for(chosen, str(request.get("model")))
        known = () if model is None else self.catalog.findings(model)
        return {
            "kind": "set",
            "title": chosen.title,
            "note": chosen.note,
            "cases": len(chosen),
            "findings": [
                {"name": name, "title": chosen.labels[name].title, "description": chosen.labels[name].description}
                for name in chosen.asked
            ],
            "exclusive": chosen.labels.kind is Kind.MULTICLASS,
            "normal": chosen.labels.normal,
            "has_boxes": chosen.has_boxes,
            "synthetic": chosen.synthetic,
            "model": model,
            "shared": [name for name in chosen.asked if name in known],
            "rules": [CALL_RULE, BOX_RULE],
        }

    def _model_for(self, chosen: CaseSet, preferred: str) -> str | None:
        """The model that answers: of those for this kind of film the visitor's choice, else the one for these findings.

        ``preferred``: empty where the visitor chose none. None where no model knows any of the set's findings.
        """
        drawn = {entry["name"]: entry["synthetic"] for entry in self.catalog.menu}
        ranked = []
        for name in drawn:
            findings = set(self.catalog.findings(name))
            shared = len(findings.intersection(chosen.asked))
            if shared:
                same = findings == set(chosen.labels)
                ranked.append((drawn[name] == chosen.synthetic, name == preferred, same, shared, name))
        return max(ranked, key=lambda one: one[:4])[-1] if ranked else None

    def _case(self, request: Mapping[str, Any]) -> tuple[CaseSet, int, Case]:
        address, row = str(request.get("address")), request.get("case")
        if not isinstance(row, int):
            raise CxrError("The page asked for a case without its number; load the page again.")
        return self.sets[address], row, self.sets.case(address, row)

    def _film(self, request: Mapping[str, Any]) -> Payload:
        _, _, case = self._case(request)
        return values_payload(case.film) | {"kind": "case", "picture": film_picture(case.film)}

    def _model(self, request: Mapping[str, Any]) -> Payload:
        chosen, _, case = self._case(request)
        analysis = self.catalog[str(request.get("model"))].analyse(case.film)
        prediction = analysis.prediction
        names = [name for name in chosen.asked if name in prediction.probabilities]
        return {
            "kind": "model",
            "probabilities": {name: prediction.probabilities[name] for name in names},
            "positive": {name: prediction.positive[name] for name in names},
            "maps": {name: map_payload(analysis.heatmaps[name]) for name in names},
            "refused": prediction.gate.accepted is False,
        }

    def _truth(self, request: Mapping[str, Any]) -> Payload:
        chosen, row, case = self._case(request)
        target = dict(zip(chosen.labels, chosen.targets[row].tolist(), strict=True))
        present = {name: None if target[name] != target[name] else target[name] == 1 for name in chosen.asked}
        boxes = {name: [list(box) for box in case.boxes.get(name, ())] for name in chosen.asked}
        return {"kind": "truth", "present": present, "boxes": boxes}

    def _score(self, request: Mapping[str, Any]) -> Payload:
        chosen = self.sets[str(request.get("address"))]
        reading = self._reading(chosen, request)
        scores = score_reading(reading)
        frame = to_frame(reading, chosen.labels)
        about = {"set": chosen.title, "address": str(request.get("address")), "model": request.get("model")}
        rows = json.loads(frame.to_json(orient="records"))
        return {
            "kind": "score",
            "scores": scores,
            "csv": frame.to_csv(index=False),
            "json": about | scores | {"cases": rows},
        }

    def _reading(self, chosen: CaseSet, request: Mapping[str, Any]) -> Reading:
        """The round that a page sends, checked."""
        answers = request.get("answers")
        if not isinstance(answers, list) or not answers or len(answers) > len(chosen):
            raise InvalidPredictions("there are no answers to score; read at least one case")
        try:
            rows = np.array([answer["case"] for answer in answers], dtype=np.int64)
            if rows.min() < 0 or rows.max() >= len(chosen):
                raise ValueError
            before, after = (_numbers(answers, part, chosen.asked) for part in ("before", "after"))
            model, calls = (_numbers(answers, part, chosen.asked) for part in ("model", "calls"))
            boxes = tuple(tuple(_boxes(answer["boxes"].get(name, ())) for name in chosen.asked) for answer in answers)
            seconds = np.array([float(answer["seconds"]) for answer in answers])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InvalidPredictions("the answers of this round are incomplete; load the page again") from None
        if chosen.labels.kind is Kind.MULTICLASS:
            before, after = exclusive(before), exclusive(after)
        columns = [chosen.labels.index(name) for name in chosen.asked]
        scored = np.full((len(rows), len(columns), 2), np.nan)
        for k, (row, drawn) in enumerate(zip(rows.tolist(), boxes, strict=True)):
            truth = self.sets.boxes(str(request.get("address")), row) if chosen.has_boxes else {}
            scored[k] = [box_scores(own, truth.get(name, ())) for name, own in zip(chosen.asked, drawn, strict=True)]
        return Reading(
            reader=str(request.get("reader") or "").strip()[:60] or "reader",
            findings=chosen.asked,
            images=np.array(chosen.images)[rows],
            patient_ids=np.array(chosen.patient_ids)[rows],
            targets=chosen.targets[rows][:, columns],
            before=before,
            after=after,
            model=model,
            calls=calls,
            seconds=seconds,
            hits=scored[..., 0],
            ious=scored[..., 1],
            boxes=boxes,
        )


def _numbers(answers: list[Any], part: str, findings: tuple[str, ...]) -> np.ndarray:
    """A part of every answer as numbers (N, C), NaN where it says nothing."""
    values = [[(answer.get(part) or {}).get(name) for name in findings] for answer in answers]
    return np.array([[np.nan if value is None else float(value) for value in row] for row in values])


def _boxes(boxes: Any) -> tuple[Corners, ...]:
    corners = [tuple(min(1.0, max(0.0, float(value))) for value in box) for box in boxes[:_MOST_BOXES]]
    return tuple((left, top, right, bottom) for left, top, right, bottom in corners)
