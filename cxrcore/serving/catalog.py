"""Which models does a screen offer, and what does it say of each and of its answers?"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrcore.bundle.folder import embedded_models
from cxrcore.bundle.reference import origin, parse_reference
from cxrcore.errors import BundleNotFound, CxrError
from cxrcore.hub.client import Token
from cxrcore.models.opening import find_bundle
from cxrcore.serving.hub_catalog import HubModels, load_quietly
from cxrcore.serving.notices import Caveats, caveats, own_note

if TYPE_CHECKING:
    from cxrcore.films.radiograph import Radiograph
    from cxrcore.models.base import Analysis, Model

NOTE = "For research and teaching only, never for diagnosis."
SYNTHETIC = (
    "This model learned from synthetic films, drawn by a program; what it says of a person's film means nothing."
)


class Models:
    """The models on offer, the first one chosen; each is loaded once, on first use.

    No other can be asked for, but those on the Hugging Face Hub that ``hub`` lets visitors open.
    """

    def __init__(self, references: dict[str, str], hub: HubModels | None = None) -> None:
        self.names = list(references)
        self.hub = hub or HubModels()
        self._references = references
        self._locks = {name: threading.Lock() for name in references}
        self._loaded: dict[str, Model] = {}

    @property
    def menu(self) -> list[dict[str, Any]]:
        """Every name, as the page shows it (with its price, and whether it learned from drawings), and whether it is
        one of the Hub's that happens to be here."""
        own = [{"name": name, "title": _title(name, place), "hub": False} for name, place in self._references.items()]
        here = self.hub.listed().items()
        return own + [
            {"name": name, "title": _title(name, str(folder)), "hub": True}
            for name, folder in here
            if name not in self._references
        ]

    def entry(self, name: str) -> dict[str, Any]:
        """As in ``menu``, of a model that is open."""
        folder = self[name].folder
        return {"name": name, "title": _title(name, str(folder)), "hub": name not in self._references}

    def __getitem__(self, name: str) -> Model:
        """Raises CxrError where the name is not offered or the bundle cannot be trusted."""
        if name not in self._locks:
            if parse_reference(name) is not None:
                return self.hub[name]
            raise BundleNotFound(f"There is no model {name!r} here; choose one of: {', '.join(self.names)}.")
        with self._locks[name]:
            if name not in self._loaded:
                self._loaded[name] = load_quietly(self._references[name])
            return self._loaded[name]


def _title(name: str, reference: str) -> str:
    try:
        return caveats(find_bundle(reference)).title(name)
    except CxrError:
        return name  # what is wrong is said when it is opened


def offered_models(reference: str | None, hub: bool = False, token: Token = False) -> Models:
    """The embedded bundles, the one asked for first; one of the Hub's is called ``user/repo@commit``.

    ``hub`` and ``token``: whether visitors may open others there, and with whose token (see ``HubModels``). One that is
    no folder here is loaded at once, to fail early; no torch is loaded for others: that comes once the page answers.
    """
    embedded = {name: name for name in embedded_models()}
    if reference is None:
        if not embedded:
            raise BundleNotFound("no model is embedded here; name one with --model or CXR_MODEL")
        return Models(embedded, HubModels(hub, token))
    if reference in embedded:
        return Models({reference: reference} | embedded, HubModels(hub, token))
    folder = find_bundle(reference)
    on_hub = origin(folder)
    name = on_hub or Path(reference).resolve().name
    started = parse_reference(reference) if on_hub else None
    models = Models(
        {name: str(folder)} | {other: other for other in embedded if other != name}, HubModels(hub, token, started)
    )
    if started is not None:
        models.hub.adopt(name)
    if not Path(reference, "config.json").is_file():
        models[name]
    return models


def report(film: Radiograph, analysis: Analysis, synthetic: bool, note: str = "") -> dict[str, Any]:
    """What the JSON download and the API return: plain types, no NaN, nothing of the patient. ``note``: the model's."""
    facts = {key: getattr(film, key) for key in ("width", "height", "encoding", "bits", "bits_stored")}
    said = " ".join(words for words in (SYNTHETIC * synthetic, note, NOTE) if words)
    maps = {finding: heat.to_dict() for finding, heat in analysis.heatmaps.items()}
    return {"film": facts, **analysis.prediction.to_dict(), "heatmaps": maps, "note": said}


def about(name: str, model: Model) -> dict[str, Any]:
    """Which model this is, what it was trained on, and how good it was on films it had not seen."""
    info, origin, labels = model.info, model.info["provenance"], model.labels
    parts = (origin.get(part) for part in ("source", "films", "patients"))  # written for people, so in any form
    source, films, patients = (part if isinstance(part, dict) else {} for part in parts)
    uses = {"train": "to learn from", "val": "to set thresholds", "test": "kept for testing"}
    split = [
        f"{films[use]:,} films of {patients[use]:,} patients {why}"
        for use, why in uses.items()
        if films.get(use) and all(isinstance(counts.get(use), int) for counts in (films, patients))
    ]
    known = caveats(model.folder) if model.folder else Caveats("", bool(origin.get("synthetic")), own_note(origin))
    network = "{architecture}, {input_size[0]} × {input_size[1]} pixels"
    members = [f"{member['name']} ({network.format(**member)})" for member in info["members"]]
    facts = {
        "Name": info["name"] if info["hub"] else None,
        "On the Hub": info["hub"],
        "Members": "; ".join(members),
        "Network": None if members else network.format(**info),
        "Cost": known.cost[:1].upper() + known.cost[1:],
        "Films": source.get("title", origin.get("dataset")),
        "Of": source.get("who"),
        "Split": "; ".join(split),
        "Start": origin.get("initial_weights"),
        "Trained": origin.get("trained_on"),
        "Weights": info["id"].partition("@")[2].partition(" ")[0],
    }
    return {
        "name": name,
        "hub": info["hub"],
        "synthetic": known.synthetic,
        "who": str(source.get("who") or ""),
        "note": known.note,
        "caution": known.first_sentence,
        "members": len(members),
        "kind": str(labels.kind),
        "binary": labels.binary,
        "findings": [f | {"title": labels[f["name"]].title} for f in info["labels"]["findings"]],
        "facts": [[term, str(fact)] for term, fact in facts.items() if fact],
        "evaluations": [scores for scores in info["metrics"] if _well_formed(scores)],
    }


def _well_formed(scores: Any) -> bool:
    """Whether a metrics.json, perhaps a stranger's, has the parts that a page draws."""
    if not isinstance(scores, dict) or not isinstance(scores.get("macro") or {}, dict):
        return False
    findings = scores.get("findings")
    return isinstance(findings, dict) and all(isinstance(row, dict) for row in findings.values())
