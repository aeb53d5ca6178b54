"""Models in the Hub client's local cache: which snapshots were verified here, and which a visitor may open.

A verification record beside the snapshots holds each file's size and modification time, and whether the repository was
public. While they still match, a model opens without the network and without being hashed again.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from cxrcore.bundle.folder import (
    CONFIG,
    is_bundle_file,
    is_ensemble,
    member_folders,
    read_config,
    read_ensemble,
)
from cxrcore.bundle.reference import MAIN, Reference, origin
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.errors import CxrError, InvalidBundle
from cxrcore.hub.client import Token, cache_folder, checksum
from cxrcore.storage import write_text

_RECORDS = "cxrcore"  # folder of verification records, beside the client's folder of snapshots


def cached_snapshot(reference: Reference, token: Token = None) -> Path | None:
    """Snapshot of a revision that was downloaded and verified here and not modified since; None if there is none.

    With ``token=False``, only if the repository was public when it was downloaded.
    """
    snapshot = find_snapshot(reference)
    return snapshot if snapshot is not None and is_verified(snapshot, token) else None


def cached_references(token: Token = None) -> list[str]:
    """Verified snapshots as ``user/repo@commit`` (12 digits), which open offline; ``token`` as in cached_snapshot."""
    references = []
    with suppress(OSError):
        for record in sorted(cache_folder().glob(f"models--*--*/{_RECORDS}/*.json")):
            snapshot = record.parent.parent / "snapshots" / record.stem
            if (name := origin(snapshot)) and is_verified(snapshot, token):
                references.append(name)
    return references


def storage_folder(reference: Reference) -> Path:
    """The client's cache folder of a model repository."""
    return cache_folder() / f"models--{reference.repo.replace('/', '--')}"


def find_snapshot(reference: Reference) -> Path | None:
    """Snapshot folder of a revision if the cache knows one with a config; it may be incomplete or damaged."""
    storage, sha = storage_folder(reference), reference.revision
    if not reference.pinned:
        try:
            sha = (storage / "refs" / (reference.revision or MAIN)).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            matches = list((storage / "snapshots").glob(f"{sha}*")) if reference.shortened else []
            sha = matches[0].name if len(matches) == 1 else None
    snapshot = storage / "snapshots" / str(sha)
    return snapshot if re.fullmatch(r"[0-9a-f]{40}", str(sha)) and (snapshot / CONFIG).is_file() else None


def is_verified(snapshot: Path, token: Token = None) -> bool:
    """Whether every file was verified here and not modified since; with ``token=False``, also whether it is public."""
    try:
        record = json.loads(_record_of(snapshot).read_text("utf-8"))
        intact = bool(record["files"]) and _stats(snapshot, list(record["files"])) == record["files"]
        return intact and (token is not False or record["public"] is True)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def record_verified(snapshot: Path, paths: list[str], public: bool) -> None:
    """Write the verification record; a cache that cannot be written to is verified again each time."""
    with suppress(OSError):
        _write(_record_of(snapshot), json.dumps({"public": public, "files": _stats(snapshot, paths)}))


def record_branch(reference: Reference, sha: str) -> None:
    """Write which commit a branch or tag points to, as the client does."""
    with suppress(OSError):
        _write(storage_folder(reference) / "refs" / (reference.revision or MAIN), sha)


def verify_by_name(snapshot: Path) -> bool:
    """Verify a snapshot that another program downloaded: a whole bundle, each file equal to its blob's name.

    The client names a blob by the Hub's checksum, so this works offline, where ``verify_repo_checksums`` does not.
    """
    paths = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    paths = [path for path in paths if is_bundle_file(path)]
    try:
        for path in paths:
            expected = os.path.basename(os.readlink(snapshot / path))
            if checksum(snapshot / path, large=len(expected) == 64) != expected:
                delete_file(snapshot / path)
                return False
        if not all((folder / WEIGHTS).is_file() for folder in model_folders(snapshot)):
            return False
    except (OSError, CxrError):
        return False
    record_verified(snapshot, paths, public=False)  # not known here, so visitors do not get it
    return True


def check_configs(snapshot: Path, listed: set[str], repo: str) -> None:
    """Raise InvalidBundle where a config is none this program may open, or its weights are not among ``listed``."""
    try:
        for folder in model_folders(snapshot):
            read_config(folder)
            weights = (folder / WEIGHTS).relative_to(snapshot).as_posix()
            if weights not in listed:
                raise InvalidBundle(f"{weights} is missing; push the whole bundle again")
    except InvalidBundle as error:
        reason = str(error).replace(snapshot.name, repo)
        advice = "" if ";" in reason else "; ask its author to mend it, or name another model"
        raise InvalidBundle(f"{repo} cannot be opened: {reason}{advice}") from None


def model_folders(folder: Path) -> list[Path]:
    """Folders with weights of their own: an ensemble's members, else the folder itself."""
    return member_folders(folder, read_ensemble(folder)) if is_ensemble(folder) else [folder]


def delete_file(path: Path) -> None:
    """Delete a damaged file of a snapshot and its blob, which other snapshots may link to."""
    blob = path.resolve()
    with suppress(OSError):
        link_target = path.parent / os.readlink(path)
        path.unlink()
        link_target.unlink(missing_ok=True)
    with suppress(OSError):
        blob.unlink(missing_ok=True)


def _record_of(snapshot: Path) -> Path:
    return snapshot.parent.parent / _RECORDS / f"{snapshot.name}.json"


def _stats(snapshot: Path, paths: list[str]) -> dict[str, list[int]]:
    stats = {path: (snapshot / path).stat() for path in paths}
    return {path: [stat.st_size, stat.st_mtime_ns] for path, stat in stats.items()}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, text)
