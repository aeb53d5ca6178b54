"""Models of the Hugging Face Hub, downloaded into the client's cache; every file is verified before it is opened.

The client accepts any file of the right size, so its sha256 (git's sha1 for small files) is compared with the Hub's
record. A branch stays at the commit that was downloaded until someone pulls again; ``newer_revision`` tells a screen
when there is a newer commit.
"""

from __future__ import annotations

import glob
import re
import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.folder import CONFIG, MEMBERS, embedded_models, is_bundle_file
from cxrcore.bundle.reference import MAIN, Reference, reference_to
from cxrcore.bundle.weights import WEIGHTS
from cxrcore.errors import CxrError, HubError, InvalidBundle
from cxrcore.hub.cache import (
    cached_references,
    cached_snapshot,
    check_configs,
    delete_file,
    find_snapshot,
    is_verified,
    record_branch,
    record_verified,
    storage_folder,
    verify_by_name,
)
from cxrcore.hub.client import (
    TIMEOUT_S,
    Say,
    Token,
    cache_folder,
    endpoint,
    list_files,
    matches_listing,
    quiet_client,
    translate_hub_errors,
    wait_at_most,
)
from cxrcore.storage import FULL, free_bytes
from cxrcore.text import size_text

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

    from cxrcore.hub.client import HubFile

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
    """Download a model as it is on the Hub now; returns its folder in the cache, or ``out`` with a copy of it.

    ``repo``: ``user/repo`` or ``user/repo@revision``. A commit that is cached is not requested again. ``token`` and
    ``limit_bytes`` as in ``open_reference``. Raises HubError or InvalidBundle, in one sentence; then no unverified file
    stays behind.
    """
    reference = reference_to(repo, revision)
    if out is not None and out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CxrError(f"{out.name!r} is in use; choose a new folder for --out")
    folder = cached_snapshot(reference, token) if reference.pinned else None
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
        shutil.rmtree(out, ignore_errors=True)  # an incomplete copy; the folder was empty before
        full = error.errno in FULL
        why = f"the disk is full where {out.name!r} is; make room, or" if full else f"cannot write into {out.name!r};"
        raise CxrError(f"{why} choose another --out") from None
    return out


def open_reference(reference: Reference, token: Token = None, limit_bytes: int | None = None) -> Path:
    """Folder of a model on the Hub: the verified copy in the cache, without a request; else downloaded.

    If the Hub cannot be reached, a copy that another program downloaded is opened where the cache's own checksums
    match. ``token=False`` is for visitors of a public host: a repository that is not public is not opened for them,
    not even from the cache. ``limit_bytes``: a larger repository is not downloaded. Raises HubError or InvalidBundle,
    in one sentence.
    """
    if (folder := cached_snapshot(reference, token)) is not None:
        return folder
    try:
        return _fetch(reference, lambda _: None, token, limit_bytes)
    except HubError as error:
        snapshot = find_snapshot(reference)
        if snapshot is None or token is False:
            raise
        if verify_by_name(snapshot):
            return snapshot
        raise HubError(f"only a part of {reference} was downloaded, and the rest cannot be had now: {error}") from error


def newer_revision(repo: str, revision: str, branch: str = MAIN, token: Token = None) -> str | None:
    """Commit that ``branch`` points to on the Hub if it differs from ``revision``, the one that is open; else None.

    Downloads nothing. Raises HubError when the Hub does not answer within 5 s.
    """
    reference = reference_to(repo, branch)
    with translate_hub_errors(reference):
        sha = str(_model_info(reference, token).sha)
    return None if sha.startswith(revision) else sha


def _fetch(reference: Reference, say: Say, token: Token, limit_bytes: int | None) -> Path:
    """Download and verify the files of a revision that are missing; returns the snapshot's folder."""
    from huggingface_hub import HfApi, errors

    with translate_hub_errors(reference, partial(_offline_hint, token)):
        try:
            info = _model_info(reference, token)
        except errors.RepositoryNotFoundError:
            _refuse_other_kind(reference, token)
            raise
        remote = wait_at_most(lambda: list_files(HfApi(endpoint=endpoint(), token=token), info))
    sha = str(info.sha)
    snapshot = storage_folder(reference) / "snapshots" / sha
    listed = {path: file for path, file in remote.items() if is_bundle_file(path)}
    if not is_verified(snapshot):
        _refuse_unopenable(reference.repo, remote)
        _require_room(reference.repo, sum(file.size or 0 for file in listed.values()), limit_bytes)
        say(f"fetching {reference.repo} at {sha[:12]}")
        _download(
            reference, snapshot, {path: file for path, file in listed.items() if Path(path).name == CONFIG}, token
        )
        check_configs(snapshot, set(listed), reference.repo)
        _download(reference, snapshot, listed, token)
    record_verified(snapshot, list(listed), public=not (info.private or info.gated))
    if reference.revision != sha:
        record_branch(reference, sha)
    return snapshot


def _model_info(reference: Reference, token: Token) -> ModelInfo:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token)
    ask = partial(api.model_info, revision=reference.revision or MAIN, files_metadata=True, timeout=TIMEOUT_S)
    return wait_at_most(lambda: ask(reference.repo))


def _refuse_other_kind(reference: Reference, token: Token) -> None:
    """Raise HubError where the name is that of a dataset or a Space."""
    from huggingface_hub import HfApi

    api = HfApi(endpoint=endpoint(), token=token)
    for kind, ask in (("dataset", api.dataset_info), ("Space", api.space_info)):
        try:
            wait_at_most(partial(ask, reference.repo, timeout=TIMEOUT_S))
        except Exception:  # for whatever reason, it is not known to be one
            continue
        raise HubError(f"{reference.repo} is a {kind} on the Hub and no model; name the model's own repository")


def _refuse_unopenable(repo: str, remote: dict[str, HubFile]) -> None:
    """Raise InvalidBundle for a repository without a config of acceptable size, or without safe weights."""
    if CONFIG not in remote:
        raise InvalidBundle(f"{repo} has no {CONFIG}, so it is no model that can be opened here")
    if (remote[CONFIG].size or 0) > _CONFIG_BYTES:
        raise InvalidBundle(f"the {CONFIG} of {repo} is absurdly large, so it was not opened")
    if WEIGHTS in remote or any(re.fullmatch(rf"{MEMBERS}/[^/]+/{WEIGHTS}", path) for path in remote):
        return
    if pickles := [path for path in remote if _PICKLES.fullmatch(path)]:
        raise InvalidBundle(
            f"{repo} has its weights only in {pickles[0]}, which can run code when it is opened; "
            f"ask its author for {WEIGHTS}"
        )
    raise InvalidBundle(f"{repo} has no weights ({WEIGHTS}); push the whole bundle again")


def _require_room(repo: str, size: int, limit_bytes: int | None) -> None:
    if limit_bytes is not None and size > limit_bytes:
        raise HubError(
            f"{repo} has {size_text(size)} of files and at most {size_text(limit_bytes)} are fetched here; "
            "use cxr pull on a machine of your own"
        )
    if size > (free := free_bytes(cache_folder())):
        raise HubError(
            f"{repo} needs {size_text(size)} where the Hub's files are kept and {size_text(free)} are free; "
            "make room, or set HF_HOME to a folder elsewhere"
        )


def _download(reference: Reference, snapshot: Path, files: dict[str, HubFile], token: Token) -> None:
    """Download these files of a commit into the cache and verify them; a damaged one is deleted. Raises HubError.

    ``snapshot_download`` downloads and resumes. The rest of the pull is ours: the client waits longer, has no size
    limit, and accepts a file of the right size with other content.
    """
    from huggingface_hub import snapshot_download

    repo = reference.repo
    with translate_hub_errors(reference, lambda: "files that arrived whole are kept: run it again"), quiet_client():
        snapshot_download(
            repo,
            revision=snapshot.name,
            cache_dir=cache_folder(),
            endpoint=endpoint(),
            token=token,
            etag_timeout=TIMEOUT_S,
            allow_patterns=[glob.escape(path) for path in files],
            max_workers=4,
        )
    for path, file in files.items():
        if not (snapshot / path).is_file():
            raise HubError(f"{path} of {repo} did not arrive; run it again")
        if not matches_listing(snapshot / path, file):
            delete_file(snapshot / path)
            raise HubError(f"{path} of {repo} arrived damaged (not the Hub's checksum) and was removed; run it again")


def _offline_hint(token: Token) -> str:
    """Which models open without the Hub."""
    names: Iterable[str] = [*cached_references(token), *embedded_models()]
    return f"what opens without it: {', '.join(names)}" if names else ""
