"""De-identification before anything leaves the machine: no film, no pickle, no id that leads back to a patient.

A per-film table keeps its ids where those are public already (NIH, Kermany, tb, phantoms). Other ids are hashed with a
key that is not kept, so a film cannot be recognised in two pushes, and a name cannot be tested against its hash.
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
from cxrcore.publishing.card_figures import matches_scores

Hasher = Callable[[str, str], str]  # (kind of id, id) -> hash
MAX_AGE = 90  # years; higher ages are rare enough to identify a person
SHARED_METADATA = ("age_years", "sex", "view")  # the only columns that leave with hashed ids
_PUBLIC_IMAGES = {
    "nih": re.compile(r"\d{8}_\d{3}\.png"),
    "kermany": re.compile(
        r"(?:(?:train|val|test)/(?:NORMAL|PNEUMONIA)/)?"
        r"(?:person\d+_(?:bacteria|virus)_\d+(?:_\d+)?|(?:NORMAL2-)?IM-\d{4}-\d{4}(?:-\d{4})?)\.jpeg"
    ),
    "tb": re.compile(r"(?:Normal|Tuberculosis)/(?:pakistan|rahman)-(?:normal|tb)-\d{5}\.jpg"),
    "phantom": re.compile(r"phantom-\d{6}\.png"),
}
_PUBLIC_IMAGES["composed"] = re.compile("|".join(pattern.pattern for pattern in _PUBLIC_IMAGES.values()))


def ids_are_public(dataset: str, images: np.ndarray) -> bool:
    """Whether every film name, str (N,), is one of the public collection's; a public folder layout is not enough."""
    pattern = _PUBLIC_IMAGES.get(dataset)
    return pattern is not None and all(pattern.fullmatch(str(image)) for image in images)


def hasher(key: bytes | None = None) -> Hasher:
    """Return a function (kind of id, id) -> 20 hex digits of HMAC-SHA256; ``key`` is random and discarded if not given.

    >>> hasher(b"key")("patient", "7") == hasher(b"key")("patient", "7")
    True
    """
    secret = secrets.token_bytes(32) if key is None else key

    def digest(what: str, name: str) -> str:
        return hmac.new(secret, f"{what}:{name}".encode(), hashlib.sha256).hexdigest()[:20]

    return digest


def hashed_predictions(predictions: Predictions, digest: Hasher | None = None) -> Predictions:
    """Return the table with hashed ``image`` and ``patient_id``, in the order of the hashes.

    Films of one patient keep one id. Of the metadata only age (90 and over as 90), sex and view are kept.
    """
    digest = digest or hasher()
    metadata = {name: column for name, column in predictions.metadata.items() if name in SHARED_METADATA}
    if "age_years" in metadata:
        metadata["age_years"] = np.minimum(metadata["age_years"].astype(np.float64), MAX_AGE)
    hashed = replace(
        predictions,
        images=np.array([digest("image", image) for image in predictions.images]),
        patient_ids=np.array([digest("patient", patient) for patient in predictions.patient_ids]),
        metadata=metadata,
    )
    return hashed.rows(np.argsort(hashed.images))


def refuse_films(folder: Path) -> None:
    """Raise InvalidBundle where the content of a file under ``folder`` is not what its name says.

    Text must be text, tables must hold numbers and names, figures must be drawn from the scores beside them. So no
    film, archive or pickle passes under another name.
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
    ".png": matches_scores,
}
