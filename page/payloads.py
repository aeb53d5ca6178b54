"""What the server sends to the viewer: objects of plain JSON types, told apart by their ``kind``."""

from __future__ import annotations

import base64
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

import cxrcore
from cxrcore.errors import CxrError
from cxrcore.explain.boxes import boxes_of
from cxrcore.explain.chest import Chest, share_outside
from cxrcore.explain.overlay import INFERNO
from cxrcore.films.encoding import data_uri
from cxrcore.films.grey_values import grey_values, pack
from cxrcore.resources import ASSETS
from cxrcore.serving.deployment import read_deployment
from cxrcore.serving.example_films import EXAMPLES, list_example_films
from cxrcore.serving.notices import DISCLAIMER, SYNTHETIC_MODEL

if TYPE_CHECKING:
    from cxrcore import Heatmap, Radiograph
    from cxrcore.models.erasing import Erasure
    from cxrcore.serving.catalog import Catalog

Payload = dict[str, Any]

MAX_UPLOAD_BYTES = 200_000_000
SHOWN_SIDE = 1024  # pixels; the longest side of the film as the page shows it, and four times that to save
MOST_VALUES = 25_000_000  # pixels; the values of larger films stay here, and the page shows their picture
UNFORESEEN = "Something went wrong here, and the film was not kept. Please try again, or use another film."
EXAMPLES_FOLDER = ASSETS / "examples"
log = logging.getLogger("app")


def start_payload(catalog: Catalog) -> Payload:
    """The viewer's first value: what the server offers, before any model is loaded."""
    return {
        "kind": "start",
        "models": catalog.menu,
        "max_bytes": MAX_UPLOAD_BYTES,
        "note": DISCLAIMER,
        "synthetic": SYNTHETIC_MODEL,
        "hub": catalog.hub.open_to_visitors,
        "dashboard": read_deployment().dashboard,
        "films": public_films(),
        "films_of": os.environ.get(EXAMPLES, ""),
        "examples": [{"file": f, "title": t, "thumbnail": thumbnail(f)} for f, t in drawn_films().items()],
        "colours": INFERNO.tolist(),
    }


def drawn_films() -> dict[str, str]:
    """The synthetic films that ship with the project, file -> title."""
    index = EXAMPLES_FOLDER / "examples.json"
    entries = json.loads(index.read_text("utf-8")) if index.is_file() else []
    return {entry["file"]: entry["title"] for entry in entries}


def thumbnail(file: str) -> str:
    """A small picture of a film that ships with the project, a data URI."""
    return data_uri(cxrcore.read_radiograph(EXAMPLES_FOLDER / file).pixels, 192, "JPEG", quality=80)


def public_films() -> list[Payload]:
    """The real films that the page offers to fetch from a public dataset; empty where its list cannot be read."""
    try:
        return [asdict(film) for film in list_example_films()]
    except CxrError as error:
        log.warning("no public films are offered: %s", error)
        return []


def film_picture(film: Radiograph) -> str:
    """The film as the page shows it, a data URI."""
    return data_uri(film.pixels, SHOWN_SIDE, "JPEG", quality=94)


def large_film_picture(film: Radiograph) -> str:
    """The film to save with a map over it, a data URI without loss."""
    return data_uri(film.pixels, 4 * SHOWN_SIDE, "PNG", compress_level=1)


def values_payload(film: Radiograph) -> Payload:
    """The film's own grey values (``cxrcore.films.grey_values``), packed, in base64; and what the file says of it."""
    spacing = film.spacing and asdict(film.spacing)
    facts = {"view": film.view, "age_years": film.age_years, "spacing": spacing}
    payload = {"kind": "values", "width": film.width, "height": film.height, "facts": facts, "data": None}
    if film.pixels.size > MOST_VALUES:
        return payload
    grey = grey_values(film)
    return payload | {
        "most": int(grey.values.max()),
        "first": grey.first,
        "step": grey.step,
        "window": asdict(grey.window),
        "inverted": grey.inverted,
        "data": base64.b64encode(pack(grey.values)).decode(),
    }


def map_payload(heat: Heatmap, chest: Chest | None = None) -> Payload:
    """A map's facts; its ``rows`` of contributions at feature resolution; and the ``box`` of the film in it.

    The box is (left, top, right, bottom) in shares of the map's width and height; ``boxes`` around the strongest places
    are so in shares of the film's. With the film's chest also ``outside``, the share of the positive part outside it,
    and ``chest``, its corners (x, y); null where it was not outlined, and the film's central part stands for it.
    """
    (top, left, height, width), (rows, columns) = heat.preprocessing.film_area(heat.film_size), heat.preprocessing.size
    box = [left / columns, top / rows, (left + width) / columns, (top + height) / rows]
    down, across = heat.film_size
    boxes = [[x / across, y / down, (x + w) / across, (y + h) / down] for x, y, w, h in boxes_of(heat)]
    rows_of_cells = np.round(heat.signed.astype(float), 4).tolist()
    payload = heat.to_dict() | {"rows": rows_of_cells, "box": box, "boxes": boxes}
    if chest is None:
        return payload
    corners = np.round(np.clip(chest.outline, 0, 1), 3).tolist() if chest.found else None
    return payload | {"outside": share_outside(heat, chest), "chest": corners}


def erased_payload(erased: Erasure) -> Payload:
    """A region erased: its ``box``, what it was filled with as a data URI, and each finding before and after."""
    findings = {name: asdict(one) | {"move": one.move} for name, one in erased.findings.items()}
    fill = data_uri(erased.fill, max(erased.fill.shape), "PNG")
    return {"kind": "erased", "box": erased.box, "fill": fill, "findings": findings}


def answer(work: Callable[[], Payload]) -> Payload:
    """The work's payload; if it fails, one sentence of kind ``error`` for the visitor, details in the server's log."""
    try:
        payload = work()
    except CxrError as error:
        payload = {"kind": "error", "message": str(error)}
    except Exception:
        log.exception("unforeseen failure")
        payload = {"kind": "error", "message": UNFORESEEN}
    return payload | {"at": time.time_ns()}  # Gradio does not send a value equal to the last one
