"""The models that a screen offers, the facts it shows of each, and the report of an analysis."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cxrcore.bundle.folder import embedded_models, is_ensemble, member_folders, read_config, read_ensemble
from cxrcore.bundle.reference import origin, parse_reference
from cxrcore.errors import BundleNotFound, CxrError
from cxrcore.hub.client import Token
from cxrcore.models.opening import find_bundle
from cxrcore.serving.decisions import decisions, frequencies
from cxrcore.serving.hub_catalog import HubCatalog, load_on_one_thread
from cxrcore.serving.notices import DISCLAIMER, SYNTHETIC_MODEL, Notices, provenance_note, provenance_who, read_notices

if TYPE_CHECKING:
    from cxrcore.films.radiograph import Radiograph
    from cxrcore.models.base import Analysis, Model
_LONG = {"faithfulness", "uncalibrated", "brier_parts", "interval_methods"}


class MenuEntry(TypedDict):
    """A model in a menu."""

    name: str
    title: str  # the name with its notices
    hub: bool  # from the Hugging Face Hub, beside the models always offered
    synthetic: bool  # learned from drawn films


class Catalog:
    """The models on offer, the default first; each is loaded once, on first use.

    references: name -> embedded name or folder. Other models open only from the Hugging Face Hub, as ``hub`` allows.
    """

    def __init__(self, references: dict[str, str], hub: HubCatalog | None = None) -> None:
        self.names = list(references)
        self.hub = hub or HubCatalog()
        self._references = references
        self._locks = {name: threading.Lock() for name in references}
        self._loaded: dict[str, Model] = {}

    @property
    def menu(self) -> list[MenuEntry]:
        """Every model on offer, then those of the Hub that open without the network."""
        places = dict(self.hub.cached_models()) | self._references
        names = [*self._references, *(name for name in places if name not in self._references)]
        return [self._entry(name, places[name]) for name in names]

    def entry(self, name: str) -> MenuEntry:
        """The menu's entry of a model that is open."""
        return self._entry(name, str(self[name].folder))

    def _entry(self, name: str, reference: str | Path) -> MenuEntry:
        try:
            notices = read_notices(find_bundle(str(reference)))
        except CxrError:
            notices = Notices("", synthetic=False)  # opening the model reports the error
        hub = name not in self._references
        return {"name": name, "title": notices.title(name), "hub": hub, "synthetic": notices.synthetic}

    def findings(self, name: str) -> tuple[str, ...]:
        """The findings of a model in the menu, from its config alone; none where it cannot be read."""
        places = dict(self.hub.cached_models()) | self._references
        try:
            folder = find_bundle(str(places[name]))
            first = member_folders(folder, read_ensemble(folder))[0] if is_ensemble(folder) else folder
            return read_config(first).labels.names
        except (CxrError, KeyError):
            return ()

    def __getitem__(self, name: str) -> Model:
        """The model. Raises CxrError where the name is not offered or the bundle cannot be trusted."""
        if name not in self._locks:
            if parse_reference(name) is not None:
                return self.hub[name]
            raise BundleNotFound(f"There is no model {name!r} here; choose one of: {', '.join(self.names)}.")
        with self._locks[name]:
            if name not in self._loaded:
                self._loaded[name] = load_on_one_thread(self._references[name])
            return self._loaded[name]


def open_catalog(reference: str | None, hub: bool = False, token: Token = False) -> Catalog:
    """The embedded models, ``reference`` first; a model of the Hub is named ``user/repo@commit``.

    hub, token: whether visitors may open other models of the Hub, and with which token (see ``HubCatalog``). No torch
    is imported, except for a reference to the Hub: its model is loaded at once, so that errors show at the start.
    Raises BundleNotFound, InvalidBundle or HubError.
    """
    embedded = {name: name for name in embedded_models()}
    if reference is None:
        if not embedded:
            raise BundleNotFound("no model is embedded here; name one with --model or CXR_MODEL")
        return Catalog(embedded, HubCatalog(hub, token))
    if reference in embedded:
        return Catalog({reference: reference} | embedded, HubCatalog(hub, token))
    folder = find_bundle(reference)
    on_hub = origin(folder)
    name = on_hub or Path(reference).resolve().name
    started = parse_reference(reference) if on_hub else None
    others = {other: other for other in embedded if other != name}
    catalog = Catalog({name: str(folder)} | others, HubCatalog(hub, token, started))
    if started is not None:
        catalog.hub.adopt(name)
    if not Path(reference, "config.json").is_file():
        catalog[name]
    return catalog


def analysis_report(film: Radiograph, analysis: Analysis, synthetic: bool, note: str = "") -> dict[str, Any]:
    """What the JSON download and the API return: plain types, no NaN, nothing of the patient.

    synthetic, note: of the model (see ``model_facts``).
    """
    facts = {key: getattr(film, key) for key in ("width", "height", "encoding", "bits", "bits_stored")}
    notes = " ".join(words for words in (SYNTHETIC_MODEL * synthetic, note, DISCLAIMER) if words)
    maps = {finding: heat.to_dict() for finding, heat in analysis.heatmaps.items()}
    return {"film": facts, **analysis.prediction.to_dict(), "heatmaps": maps, "note": notes}


def model_facts(name: str, model: Model) -> dict[str, Any]:
    """What the page shows of a model: its findings, its training films, and its scores on films it had not seen."""
    info, provenance, labels = model.info, model.info["provenance"], model.labels
    source = _as_dict(provenance.get("source"))
    notices = (
        read_notices(model.folder)
        if model.folder
        else Notices("", bool(provenance.get("synthetic")), provenance_note(provenance), provenance_who(provenance))
    )
    network = "{architecture}, {input_size[0]} × {input_size[1]} pixels"
    members = [f"{member['name']} ({network.format(**member)})" for member in info["members"]]
    facts = {
        "Name": info["name"] if info["hub"] else None,
        "On the Hub": info["hub"],
        "Members": "; ".join(members),
        "Network": None if members else network.format(**info),
        "Cost": notices.cost[:1].upper() + notices.cost[1:],
        "Films": source.get("title", provenance.get("dataset")),
        "Of": notices.who,
        "Split": _split_text(_as_dict(provenance.get("films")), _as_dict(provenance.get("patients"))),
        "Start": provenance.get("initial_weights"),
        "Trained": provenance.get("trained_on"),
        "Weights": info["id"].partition("@")[2].partition(" ")[0],
    }
    return {
        "name": name,
        "hub": info["hub"],
        "synthetic": notices.synthetic,
        "population": notices.population,
        "note": notices.note,
        "caution": notices.first_sentence,
        "members": len(members),
        "kind": str(labels.kind),
        "binary": labels.binary,
        "findings": [f | {"title": labels[f["name"]].title} for f in info["labels"]["findings"]],
        "facts": [[term, str(fact)] for term, fact in facts.items() if fact],
        "decisions": decisions(model),
        "frequencies": frequencies(model),
        "evaluations": [_shown(scores) for scores in info["metrics"] if _well_formed(scores)],
    }


def _as_dict(part: object) -> dict[str, Any]:
    """A part of the provenance, which is written for people and may hold anything."""
    return part if isinstance(part, dict) else {}


def _split_text(films: dict[str, Any], patients: dict[str, Any]) -> str:
    uses = {"train": "to learn from", "val": "to set thresholds", "test": "kept for testing"}
    return "; ".join(
        f"{films[use]:,} films of {patients[use]:,} patients {purpose}"
        for use, purpose in uses.items()
        if films.get(use) and all(isinstance(counts.get(use), int) for counts in (films, patients))
    )


def _shown(scores: dict[str, Any]) -> dict[str, Any]:
    """A metrics.json without the long parts that the page does not draw."""
    findings = {name: {k: v for k, v in row.items() if k not in _LONG} for name, row in scores["findings"].items()}
    return {key: value for key, value in scores.items() if key not in _LONG} | {"findings": findings}


def _well_formed(scores: object) -> bool:
    """Whether a metrics.json, perhaps of unknown origin, has the parts that a page draws."""
    if not isinstance(scores, dict) or not isinstance(scores.get("macro") or {}, dict):
        return False
    findings = scores.get("findings")
    return isinstance(findings, dict) and all(isinstance(row, dict) for row in findings.values())
