"""Models that live on the Hugging Face Hub: fetched into its own cache, every file checked, and opened from there.

The client takes any file of the right size, so each one's sha256 (git's sha1 for small files) is compared with the
Hub's record before anything opens it. What was checked is noted beside the snapshot with sizes and times, so a model
that is here opens without the network and without being read twice. A branch stays where it was fetched until someone
fetches it again: ``newer_revision`` tells a screen when there is something to offer.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from cxrcore.bundle import (
    CONFIG,
    MEMBERS,
    WEIGHTS,
    embedded_models,
    is_ensemble,
    member_folders,
    read_config,
    read_ensemble,
)
from cxrcore.errors import CxrError, HubError, InvalidBundle
from cxrcore.hub_access import (
    MAIN,
    PATIENCE_S,
    Reference,
    cache_folder,
    calm_client,
    checksum,
    endpoint,
    is_bundle_file,
    origin,
    plainly,
    reference_to,
    within,
)

Say = Callable[[str], object]
_NOTES = "cxrcore"  # a folder beside the snapshots: which were checked, {file: [size, time of change]}
_CONFIG_BYTES = 4_000_000
_PICKLES = re.compile(r".*\.(?:bin|pt|pth|ckpt|pkl|pickle|h5|msgpack)")


def pull_bundle(
    repo: str, revision: str | None = None, out: Path | None = None, say: Say = print, token: str | None = None
) -> Path:
    """The folder of a model on the Hub as it is there now, fetched where need be; ``out`` gets a copy of it.

    ``repo``: ``user/repo`` or ``user/repo@revision``. A commit that is here already is not asked for. Raises HubError
    or InvalidBundle, in one sentence; then nothing that was not checked stays behind.
    """
    reference = reference_to(repo, revision)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")
    folder = cached(reference) if reference.pinned else None
    folder = folder or _fetch(reference, say, token)
    if out is None:
        return folder
    try:
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == CONFIG):  # the configs last
            if path.is_file() and is_bundle_file(path.relative_to(folder).as_posix()):
                target = out / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    except OSError:
        raise CxrError(f"cannot write into {out.name!r}; choose another --out") from None
    return out


def open_reference(reference: Reference) -> Path:
    """The folder of a model on the Hub: the one that is here already, without asking; else fetched.

    What another program put into the cache, or the Hub's answer being out of reach, is no reason to fail where the
    cache's own checksums say that the files are right.
    """
    if (folder := cached(reference)) is not None:
        return folder
    try:
        return _fetch(reference, _quiet, None)
    except HubError as error:
        snapshot = _snapshot(reference)
        if snapshot is None:
            raise
        if _checked_by_name(snapshot):
            return snapshot
        raise HubError(f"only a part of {reference} was downloaded, and the rest cannot be had now: {error}") from error


def cached(reference: Reference) -> Path | None:
    """The snapshot of a revision that was fetched and checked here, as long as its files are what they were."""
    snapshot = _snapshot(reference)
    return snapshot if snapshot is not None and _noted(snapshot) else None


def cached_references() -> list[str]:
    """What opens without the Hub, as ``user/repo@commit`` with 12 digits of it."""
    found = []
    with suppress(OSError):
        for note in sorted(cache_folder().glob(f"models--*--*/{_NOTES}/*.json")):
            snapshot = note.parent.parent / "snapshots" / note.stem
            if (told := origin(snapshot)) and _noted(snapshot):
                found.append(told)
    return found


def newer_revision(repo: str, revision: str, branch: str = MAIN) -> str | None:
    """The commit ``branch`` is at on the Hub where that is another than ``revision``, the one that is open; else None.

    Fetches nothing. Raises HubError when the Hub cannot be asked within 5 s.
    """
    reference = reference_to(repo, branch)
    with plainly(reference):
        sha = _ask(reference, None).sha
    return None if sha.startswith(revision) else sha


def _fetch(reference: Reference, say: Say, token: str | None) -> Path:
    """Ask the Hub, download what is missing, check all of it."""
    from huggingface_hub import errors

    with plainly(reference, _still_here):
        try:
            info = _ask(reference, token)
        except errors.RepositoryNotFoundError:
            _say_other_kind(reference, token)
            raise
    storage = _storage(reference)
    snapshot = storage / "snapshots" / info.sha
    if not _noted(snapshot):
        listed = {file.rfilename: file for file in info.siblings or () if is_bundle_file(file.rfilename)}
        _refuse_unopenable(reference, [file.rfilename for file in info.siblings or ()])
        _need_room(reference, sum(file.size or 0 for file in listed.values()))
        say(f"fetching {reference.repo} at {info.sha[:12]}")
        configs = {path: file for path, file in listed.items() if Path(path).name == CONFIG}
        _download(reference, info.sha, configs, token)
        _check_configs(snapshot, listed, reference)
        _download(reference, info.sha, listed, token)
        _note(snapshot, list(listed))
    if reference.revision != info.sha:
        _point(storage / "refs" / (reference.revision or MAIN), info.sha)
    return snapshot


def _ask(reference: Reference, token: str | None) -> Any:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token)
    revision = reference.revision or MAIN
    return within(lambda: api.model_info(reference.repo, revision=revision, files_metadata=True, timeout=PATIENCE_S))


def _say_other_kind(reference: Reference, token: str | None) -> None:
    """Raise HubError where the name is a dataset's or a Space's."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token)
    for kind, ask in (("dataset", api.dataset_info), ("Space", api.space_info)):
        try:
            within(partial(ask, reference.repo, timeout=PATIENCE_S))
        except Exception:  # whatever it is, the name is not known to be that
            continue
        raise HubError(f"{reference.repo} is a {kind} on the Hub and no model; name the model's own repository")


def _refuse_unopenable(reference: Reference, paths: list[str]) -> None:
    """Raise InvalidBundle for a repository that no download could make a model of."""
    if CONFIG not in paths:
        raise InvalidBundle(f"{reference.repo} has no {CONFIG}, so it is no model that can be opened here")
    weights = WEIGHTS in paths or any(re.fullmatch(rf"{MEMBERS}/[^/]+/{WEIGHTS}", path) for path in paths)
    if weights:
        return
    pickles = [path for path in paths if _PICKLES.fullmatch(path)]
    if pickles:
        raise InvalidBundle(
            f"{reference.repo} has its weights only in {pickles[0]}, which can run code when it is opened; "
            f"ask its author for {WEIGHTS}"
        )
    raise InvalidBundle(f"{reference.repo} has no weights ({WEIGHTS}); push the whole bundle again")


def _need_room(reference: Reference, size: int) -> None:
    place = cache_folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if size > free:
        raise HubError(
            f"{reference.repo} needs {size / 1e6:,.0f} MB where the Hub's files are kept and {free / 1e6:,.0f} MB are "
            "free; make room, or set HF_HOME to a folder elsewhere"
        )


def _download(reference: Reference, sha: str, files: dict[str, Any], token: str | None) -> None:
    """These files of a commit, in the client's cache and equal to the Hub's record; one that differs is removed."""
    from huggingface_hub import snapshot_download

    with plainly(reference, lambda: "files that arrived whole are kept: run it again"), calm_client():
        snapshot = Path(
            snapshot_download(
                reference.repo,
                revision=sha,
                allow_patterns=[re.sub(r"([*?[])", r"[\1]", path) for path in files],
                cache_dir=cache_folder(),
                endpoint=endpoint(),
                token=token,
                etag_timeout=PATIENCE_S,
                max_workers=4,
            )
        )
    for path, file in files.items():
        wanted = file.lfs.sha256 if file.lfs else file.blob_id
        place = snapshot / path
        if not place.is_file():
            raise HubError(f"{path} of {reference.repo} did not arrive; run it again")
        if checksum(place, large=bool(file.lfs)) != wanted:
            _remove(place)
            raise HubError(
                f"{path} of {reference.repo} arrived damaged (not the Hub's checksum) and was removed; run it again"
            )


def _check_configs(snapshot: Path, listed: dict[str, Any], reference: Reference) -> None:
    """Raise InvalidBundle before any weights are fetched, where a config is not one this program may open."""
    if (listed[CONFIG].size or 0) > _CONFIG_BYTES:
        raise InvalidBundle(f"the {CONFIG} of {reference.repo} is absurdly large, so it was not opened")
    try:
        folders = member_folders(snapshot, read_ensemble(snapshot)) if is_ensemble(snapshot) else [snapshot]
        for folder in folders:
            read_config(folder)
            weights = (folder / WEIGHTS).relative_to(snapshot).as_posix()
            if weights not in listed:
                raise InvalidBundle(f"{weights} is missing; push the whole bundle again")
    except InvalidBundle as error:
        raise InvalidBundle(
            f"{reference.repo} cannot be opened: {str(error).replace(snapshot.name, reference.repo)}"
        ) from None


def _storage(reference: Reference) -> Path:
    return cache_folder() / f"models--{reference.repo.replace('/', '--')}"


def _snapshot(reference: Reference) -> Path | None:
    """Where a revision lies in the cache, if it is known there at all; nobody says that it is whole."""
    storage, sha = _storage(reference), reference.revision
    if not reference.pinned:
        try:
            sha = (storage / "refs" / (reference.revision or MAIN)).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return None
    snapshot = storage / "snapshots" / str(sha)
    return snapshot if re.fullmatch(r"[0-9a-f]{40}", str(sha)) and (snapshot / CONFIG).is_file() else None


def _stats(snapshot: Path, paths: list[str]) -> dict[str, list[int]]:
    found = {path: (snapshot / path).stat() for path in paths}
    return {path: [stat.st_size, stat.st_mtime_ns] for path, stat in found.items()}


def _note_of(snapshot: Path) -> Path:
    return snapshot.parent.parent / _NOTES / f"{snapshot.name}.json"


def _noted(snapshot: Path) -> bool:
    """Whether every file was checked here and has not been touched since."""
    try:
        noted = json.loads(_note_of(snapshot).read_text("utf-8"))
        return bool(noted) and _stats(snapshot, list(noted)) == noted
    except (OSError, ValueError, TypeError):
        return False


def _note(snapshot: Path, paths: list[str]) -> None:
    with suppress(OSError):  # a cache that cannot be written to is checked again each time
        _write(_note_of(snapshot), json.dumps(_stats(snapshot, paths)))


def _point(ref: Path, sha: str) -> None:
    with suppress(OSError):
        _write(ref, sha)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text(text, "utf-8")
    os.replace(part, path)


def _checked_by_name(snapshot: Path) -> bool:
    """Whether a snapshot nobody noted (fetched by another program) is a whole bundle, each file what its link says.

    The cache's own links carry the Hub's record: a blob is called by its checksum.
    """
    paths = [path.relative_to(snapshot).as_posix() for path in snapshot.rglob("*") if path.is_file()]
    paths = [path for path in paths if is_bundle_file(path)]
    try:
        for path in paths:
            wanted = os.path.basename(os.readlink(snapshot / path))
            if checksum(snapshot / path, large=len(wanted) == 64) != wanted:
                _remove(snapshot / path)
                return False
        folders = member_folders(snapshot, read_ensemble(snapshot)) if is_ensemble(snapshot) else [snapshot]
        if not all((folder / WEIGHTS).is_file() for folder in folders):
            return False
    except (OSError, CxrError):
        return False
    _note(snapshot, paths)
    return True


def _remove(place: Path) -> None:
    """The file in a snapshot and the blob behind it, which other snapshots may share and which is as wrong there."""
    real = place.resolve()
    with suppress(OSError):
        first = place.parent / os.readlink(place)
        place.unlink()
        first.unlink(missing_ok=True)
    with suppress(OSError):
        real.unlink(missing_ok=True)


def _still_here() -> str:
    """What opens all the same, in words."""
    there = [*cached_references(), *embedded_models()]
    return f"what opens without it: {', '.join(there)}" if there else ""


def _quiet(text: str) -> None:
    """For those who only open a model."""
