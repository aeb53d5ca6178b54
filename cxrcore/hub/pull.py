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
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from cxrcore.bundle.folder import (
    CONFIG,
    MEMBERS,
    WEIGHTS,
    embedded_models,
    is_bundle_file,
    is_ensemble,
    member_folders,
    read_config,
    read_ensemble,
)
from cxrcore.bundle.reference import MAIN, Reference, origin, reference_to
from cxrcore.errors import CxrError, HubError, InvalidBundle
from cxrcore.hub.client import (
    FULL,
    TIMEOUT_S,
    Token,
    cache_folder,
    checksum,
    endpoint,
    list_files,
    matches_listing,
    quiet_client,
    translate_hub_errors,
    wait_at_most,
)
from cxrcore.text import size_text

Say = Callable[[str], object]
_NOTES = "cxrcore"  # a folder beside the snapshots: which were checked, and whether everybody may see them
_CONFIG_BYTES = 4_000_000
_PICKLES = re.compile(r".*\.(?:bin|pt|pth|ckpt|pkl|pickle|h5|msgpack)")


def pull_bundle(
    repo: str,
    revision: str | None = None,
    out: Path | None = None,
    say: Say = print,
    token: Token = None,
    limit_bytes: int | None = None,
) -> Path:
    """The folder of a model on the Hub as it is there now, fetched where need be; ``out`` gets a copy of it.

    ``repo``: ``user/repo`` or ``user/repo@revision``. A commit that is here already is not asked for. ``token`` and
    ``limit_bytes`` as in ``open_reference``. Raises HubError or InvalidBundle, in one sentence; then nothing that was
    not checked stays behind.
    """
    reference = reference_to(repo, revision)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")
    folder = cached(reference, token) if reference.pinned else None
    folder = folder or _fetch(reference, say, token, limit_bytes)
    if out is None:
        return folder
    try:
        for path in sorted(folder.rglob("*"), key=lambda path: path.name == CONFIG):  # the configs last
            if path.is_file() and is_bundle_file(path.relative_to(folder).as_posix()):
                target = out / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
    except OSError as error:
        shutil.rmtree(out, ignore_errors=True)  # half a copy; it was empty before
        full = error.errno in FULL
        why = f"the disk is full where {out.name!r} is; make room, or" if full else f"cannot write into {out.name!r};"
        raise CxrError(f"{why} choose another --out") from None
    return out


def open_reference(reference: Reference, token: Token = None, limit_bytes: int | None = None) -> Path:
    """The folder of a model on the Hub: the one that is here already, without asking; else fetched.

    What another program put into the cache, or the Hub's answer being out of reach, is no reason to fail where the
    cache's own checksums say that the files are right. ``token=False`` is for visitors of a public host: what the
    Hub does not show everybody is not opened for them, not even out of the cache. ``limit_bytes``: more than that in
    one repository is not fetched. Raises HubError or InvalidBundle, in one sentence.
    """
    if (folder := cached(reference, token)) is not None:
        return folder
    try:
        return _fetch(reference, _quiet, token, limit_bytes)
    except HubError as error:
        snapshot = _snapshot(reference)
        if snapshot is None or token is False:
            raise
        if _checked_by_name(snapshot):
            return snapshot
        raise HubError(f"only a part of {reference} was downloaded, and the rest cannot be had now: {error}") from error


def cached(reference: Reference, token: Token = None) -> Path | None:
    """The snapshot of a revision that was fetched and checked here, as long as its files are what they were.

    With ``token=False``, only where the Hub showed it to everybody when it was fetched.
    """
    snapshot = _snapshot(reference)
    return snapshot if snapshot is not None and _noted(snapshot, token) else None


def cached_references(token: Token = None) -> list[str]:
    """What opens without the Hub, as ``user/repo@commit`` with 12 digits of it; ``token`` as in ``cached``."""
    found = []
    with suppress(OSError):
        for note in sorted(cache_folder().glob(f"models--*--*/{_NOTES}/*.json")):
            snapshot = note.parent.parent / "snapshots" / note.stem
            if (told := origin(snapshot)) and _noted(snapshot, token):
                found.append(told)
    return found


def newer_revision(repo: str, revision: str, branch: str = MAIN, token: Token = None) -> str | None:
    """The commit ``branch`` is at on the Hub where that is another than ``revision``, the one that is open; else None.

    Fetches nothing. Raises HubError when the Hub cannot be asked within 5 s.
    """
    reference = reference_to(repo, branch)
    with translate_hub_errors(reference):
        sha = _ask(reference, token).sha
    return None if sha.startswith(revision) else sha


def _fetch(reference: Reference, say: Say, token: Token, limit_bytes: int | None) -> Path:
    """Ask the Hub, download what is missing, check all of it."""
    from huggingface_hub import HfApi, errors

    with translate_hub_errors(reference, partial(_still_here, token)):
        try:
            info = _ask(reference, token)
        except errors.RepositoryNotFoundError:
            _say_other_kind(reference, token)
            raise
        there = wait_at_most(lambda: list_files(HfApi(endpoint=endpoint(), token=token), info))
    storage = _storage(reference)
    snapshot = storage / "snapshots" / info.sha
    listed = {path: file for path, file in there.items() if is_bundle_file(path)}
    if not _noted(snapshot):
        _refuse_unopenable(reference, list(there))
        _need_room(reference, sum(file.size or 0 for file in listed.values()), limit_bytes)
        say(f"fetching {reference.repo} at {info.sha[:12]}")
        configs = {path: file for path, file in listed.items() if Path(path).name == CONFIG}
        _download(reference, info.sha, configs, token)
        _check_configs(snapshot, listed, reference)
        _download(reference, info.sha, listed, token)
    _note(snapshot, list(listed), public=not (info.private or info.gated))
    if reference.revision != info.sha:
        _point(storage / "refs" / (reference.revision or MAIN), info.sha)
    return snapshot


def _ask(reference: Reference, token: Token) -> Any:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token)
    revision = reference.revision or MAIN
    return wait_at_most(
        lambda: api.model_info(reference.repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S)
    )


def _say_other_kind(reference: Reference, token: Token) -> None:
    """Raise HubError where the name is a dataset's or a Space's."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token)
    for kind, ask in (("dataset", api.dataset_info), ("Space", api.space_info)):
        try:
            wait_at_most(partial(ask, reference.repo, timeout=TIMEOUT_S))
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


def _need_room(reference: Reference, size: int, limit_bytes: int | None) -> None:
    if limit_bytes is not None and size > limit_bytes:
        raise HubError(
            f"{reference.repo} has {size_text(size)} of files and at most {size_text(limit_bytes)} are fetched here; "
            "use cxr pull on a machine of your own"
        )
    place = cache_folder()
    while not place.exists() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if size > free:
        raise HubError(
            f"{reference.repo} needs {size_text(size)} where the Hub's files are kept and {size_text(free)} are free; "
            "make room, or set HF_HOME to a folder elsewhere"
        )


def _download(reference: Reference, sha: str, files: dict[str, Any], token: Token) -> None:
    """These files of a commit, in the client's cache and equal to the Hub's record; one that differs is removed."""
    from huggingface_hub import hf_hub_download

    snapshot = _storage(reference) / "snapshots" / sha

    def fetch(path: str) -> None:
        """One file; checked at once, while others are still on their way."""
        hf_hub_download(
            reference.repo,
            path,
            revision=sha,
            cache_dir=cache_folder(),
            endpoint=endpoint(),
            token=token,
            etag_timeout=TIMEOUT_S,
        )
        place, file = snapshot / path, files[path]
        if not place.is_file():
            raise HubError(f"{path} of {reference.repo} did not arrive; run it again")
        if not matches_listing(place, file):
            _remove(place)
            raise HubError(
                f"{path} of {reference.repo} arrived damaged (not the Hub's checksum) and was removed; run it again"
            )

    largest_first = sorted(files, key=lambda path: -(files[path].size or 0))
    with (
        translate_hub_errors(reference, lambda: "files that arrived whole are kept: run it again"),
        quiet_client(),
        ThreadPoolExecutor(max_workers=4) as pool,
    ):
        fetched = [pool.submit(fetch, path) for path in largest_first]
        try:
            for one in as_completed(fetched):
                one.result()
        finally:  # the first that fails is told; those that wait are not begun
            for one in fetched:
                one.cancel()


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
        said = str(error).replace(snapshot.name, reference.repo)
        step = "" if ";" in said else "; ask its author to mend it, or name another model"
        raise InvalidBundle(f"{reference.repo} cannot be opened: {said}{step}") from None


def _storage(reference: Reference) -> Path:
    return cache_folder() / f"models--{reference.repo.replace('/', '--')}"


def _snapshot(reference: Reference) -> Path | None:
    """Where a revision lies in the cache, if it is known there at all; nobody says that it is whole."""
    storage, sha = _storage(reference), reference.revision
    if not reference.pinned:
        try:
            sha = (storage / "refs" / (reference.revision or MAIN)).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            begun = list((storage / "snapshots").glob(f"{sha}*")) if reference.shortened else []
            sha = begun[0].name if len(begun) == 1 else None
    snapshot = storage / "snapshots" / str(sha)
    return snapshot if re.fullmatch(r"[0-9a-f]{40}", str(sha)) and (snapshot / CONFIG).is_file() else None


def _stats(snapshot: Path, paths: list[str]) -> dict[str, list[int]]:
    found = {path: (snapshot / path).stat() for path in paths}
    return {path: [stat.st_size, stat.st_mtime_ns] for path, stat in found.items()}


def _note_of(snapshot: Path) -> Path:
    return snapshot.parent.parent / _NOTES / f"{snapshot.name}.json"


def _noted(snapshot: Path, token: Token = None) -> bool:
    """Whether every file was checked here and not touched since; for nobody's token, also that it is public."""
    try:
        note = json.loads(_note_of(snapshot).read_text("utf-8"))
        checked = bool(note["files"]) and _stats(snapshot, list(note["files"])) == note["files"]
        return checked and (token is not False or note["public"] is True)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _note(snapshot: Path, paths: list[str], public: bool) -> None:
    with suppress(OSError):  # a cache that cannot be written to is checked again each time
        _write(_note_of(snapshot), json.dumps({"public": public, "files": _stats(snapshot, paths)}))


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
    _note(snapshot, paths, public=False)  # for all that is known here
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


def _still_here(token: Token) -> str:
    """What opens all the same, in words."""
    there = [*cached_references(token), *embedded_models()]
    return f"what opens without it: {', '.join(there)}" if there else ""


def _quiet(text: str) -> None:
    """For those who only open a model."""
