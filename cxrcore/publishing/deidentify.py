"""What may leave the machine: no film, no pickle, and no name by which someone could find a patient again.

A per-film table leaves with its ids where those are public already (NIH, Kermany, phantoms); else they are hashed with
a key that nobody keeps, so the same film cannot be told in two pushes, nor a name be tried against its hash.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from cxrcore.errors import InvalidBundle
from cxrcore.predictions.record import Predictions
from cxrcore.publishing.card_figures import is_of_its_scores

OLDEST = 90  # years; higher ages are few enough to name a person
KEPT = ("age_years", "sex", "view")  # metadata that leaves with hashed ids; the rest could say more than we know
_PUBLIC_IMAGES = {
    "nih": re.compile(r"\d{8}_\d{3}\.png"),
    "kermany": re.compile(
        r"(?:(?:train|val|test)/(?:NORMAL|PNEUMONIA)/)?"
        r"(?:person\d+_(?:bacteria|virus)_\d+(?:_\d+)?|(?:NORMAL2-)?IM-\d{4}-\d{4}(?:-\d{4})?)\.jpeg"
    ),
    "phantom": re.compile(r"phantom-\d{6}\.png"),
}


def ids_are_public(dataset: str, images: np.ndarray) -> bool:
    """Whether a table's film names are those of a public collection; a layout alone, which anyone may use, is not."""
    pattern = _PUBLIC_IMAGES.get(dataset)
    return pattern is not None and all(pattern.fullmatch(str(image)) for image in images)


def hasher(key: bytes | None = None) -> Callable[[str, str], str]:
    """A function (what it is, id) -> 20 hex digits, HMAC-SHA256 under ``key``; without one, a new one that is lost."""
    secret = secrets.token_bytes(32) if key is None else key

    def digest(what: str, name: str) -> str:
        return hmac.new(secret, f"{what}:{name}".encode(), hashlib.sha256).hexdigest()[:20]

    return digest


def hashed_predictions(predictions: Predictions, digest: Callable[[str, str], str] | None = None) -> Predictions:
    """The table with hashed ``image`` and ``patient_id``, in the hashes' order, for the films' own tells a story too.

    Films of one patient stay together. Of the metadata only age (90 and over as 90), sex and view are kept.
    """
    digest = digest or hasher()
    metadata = {name: column for name, column in predictions.metadata.items() if name in KEPT}
    if "age_years" in metadata:
        metadata["age_years"] = np.minimum(metadata["age_years"].astype(np.float64), OLDEST)
    hashed = replace(
        predictions,
        images=np.array([digest("image", image) for image in predictions.images]),
        patient_ids=np.array([digest("patient", patient) for patient in predictions.patient_ids]),
        metadata=metadata,
    )
    return hashed.rows(np.argsort(hashed.images))


def refuse_films(folder: Path) -> None:
    """Raise InvalidBundle where a file under ``folder`` is not, by its content, what its name says.

    Text must be text, tables must be tables of numbers and names, pictures must be drawn from the scores beside them:
    no film, archive or pickle passes under any of these.
    """
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        checked = _CHECKS.get(path.suffix, _is_text)
        if path.is_symlink() or not checked(path):
            raise InvalidBundle(f"{name} does not hold what its name says, so nothing was sent; write the bundle again")


def _is_text(path: Path) -> bool:
    content = path.read_bytes()
    try:
        return path.suffix in (".md", ".yaml", ".jsonl", ".csv", ".json") and "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _is_json(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_text("utf-8")), dict)
    except ValueError:
        return False


def _is_table(path: Path) -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError):
        return False
    plain = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_boolean,
    )
    return all(any(is_kind(column.type) for is_kind in plain) for column in schema)


def _is_safetensors(path: Path) -> bool:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return True
    except (SafetensorError, OSError):
        return False


_CHECKS: dict[str, Callable[[Path], bool]] = {
    ".safetensors": _is_safetensors,
    ".parquet": _is_table,
    ".json": _is_json,
    ".png": is_of_its_scores,
}
