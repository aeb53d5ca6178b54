"""Access to the Hugging Face Hub for pushes and pulls: cache, timeouts, checksums, and errors in one sentence.

The client retries for 23 s before it reports that the Hub is unreachable, and reads its environment only when
imported. Here the first answer is awaited for ``TIMEOUT_S`` seconds, and the environment is read at each call.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import ERROR
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from cxrcore.bundle.reference import MAIN, Reference
from cxrcore.errors import HubError
from cxrcore.storage import FULL

if TYPE_CHECKING:
    from huggingface_hub import DatasetInfo, HfApi, ModelInfo, RepoFile, SpaceInfo
    from huggingface_hub.hf_api import RepoSibling

    RepoInfo: TypeAlias = ModelInfo | DatasetInfo | SpaceInfo
    HubFile: TypeAlias = RepoSibling | RepoFile

T = TypeVar("T")
Say = Callable[[str], object]  # receives progress messages, one line each
Token = str | bool | None  # False: anonymous, so only what is public; None: HF_TOKEN's or the login's
TIMEOUT_S = 5.0  # for the Hub's first answer
TOKENS = "https://huggingface.co/settings/tokens"
VISITOR_BYTES = 2_000_000_000  # the largest repository that a screen downloads for a visitor


def endpoint() -> str | None:
    """Address of the Hub from HF_ENDPOINT, read at each call; None for the client's default."""
    return os.environ.get("HF_ENDPOINT") or None


def cache_folder() -> Path:
    """The client's cache of repositories, from HF_HUB_CACHE or HF_HOME, read at each call."""
    from huggingface_hub import constants

    if cache := os.environ.get("HF_HUB_CACHE"):
        return Path(cache).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(constants.HF_HUB_CACHE)


def list_files(api: HfApi, info: RepoInfo, repo_type: str = "model") -> dict[str, HubFile]:
    """Files of a commit by path, each with the Hub's record of it: ``size``, ``blob_id``, ``lfs.sha256`` if large.

    ``info`` is the answer of model_info, dataset_info or space_info with ``files_metadata``. Mirrors and older Hubs
    give only names there, so their tree is requested as well.
    """
    from huggingface_hub import RepoFile

    files: dict[str, HubFile] = {file.rfilename: file for file in info.siblings or ()}
    if all(file.blob_id and file.size is not None for file in files.values()):
        return files
    tree = api.list_repo_tree(info.id, recursive=True, revision=info.sha, repo_type=repo_type)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def checksum(path: Path, large: bool) -> str:
    """Checksum by which the Hub knows this content: sha256 of a large file (LFS), git's sha1 of a small one."""
    with open(path, "rb") as file:
        if large:
            return hashlib.file_digest(file, "sha256").hexdigest()
        blob = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
        return hashlib.file_digest(file, lambda: blob).hexdigest()


def matches_listing(path: Path, file: HubFile) -> bool:
    """Whether a local file has the content that a ``list_files`` record describes.

    ``HfApi.verify_repo_checksums`` makes the same comparison. It requests the tree again for each call and checks every
    file of the folder; here the record is at hand, and a file is checked on its own.
    """
    return checksum(path, bool(file.lfs)) == (file.lfs.sha256 if file.lfs else file.blob_id)


def wait_at_most(call: Callable[[], T], seconds: float | None = None) -> T:
    """Return the result of ``call``, or raise TimeoutError after ``seconds`` (``TIMEOUT_S`` if not given).

    The client's own timeout does not cover a host name that does not resolve.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(TIMEOUT_S if seconds is None else seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


@contextmanager
def quiet_client() -> Iterator[None]:
    """Silence the client's warnings, which name local folders, and draw progress bars on a terminal only."""
    from huggingface_hub.utils import logging
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    verbosity, hide_bars = logging.get_verbosity(), not (sys.stderr.isatty() or are_progress_bars_disabled())
    logging.set_verbosity(ERROR)
    if hide_bars:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if hide_bars:
            enable_progress_bars()


@contextmanager
def translate_hub_errors(reference: Reference, hint: Callable[[], str] = str) -> Iterator[None]:
    """Turn an error of the client into a HubError: one sentence with the next step, never with a token.

    ``hint``: what to say after "the Hub cannot be reached".
    """
    try:
        yield
    except Exception as error:
        sentence = _explain_answer(error, reference) or _explain_transfer(error, reference.repo, hint)
        if sentence is None:
            raise
        raise HubError(sentence) from error


def _explain_answer(error: Exception, reference: Reference) -> str | None:
    """Explain an error that the Hub answered with, or a missing token; None for any other error."""
    from huggingface_hub import errors

    repo = reference.repo
    full_hash = " (a commit by all its 40 digits)" if reference.shortened else ""
    sentences = {
        errors.LocalTokenNotFoundError: "there is no Hugging Face token: set HF_TOKEN, or run `hf auth login`; make "
        f"one that may write at {TOKENS}",
        errors.GatedRepoError: f"{repo} is gated: ask for access on its page on the Hub, then set HF_TOKEN and run it "
        "again",
        errors.RepositoryNotFoundError: f"there is no model {repo} on the Hub, or it is private and not shown to you; "
        "check the name, or set HF_TOKEN",
        errors.RevisionNotFoundError: f"{repo} has no revision {reference.revision or MAIN!r}; name one of its "
        f"branches, tags or commits{full_hash}",
    }
    for kind, sentence in sentences.items():
        if isinstance(error, kind):
            return sentence
    return _explain_status(error.response.status_code, repo) if isinstance(error, errors.HfHubHTTPError) else None


def _explain_status(status: int, repo: str) -> str:
    owner = repo.split("/")[0]
    sentences = {
        401: f"the Hub refuses the token, which is wrong or has expired: make one that may write at {TOKENS}, "
        "then set HF_TOKEN or run `hf auth login`",
        402: f"the Hub asks for a paid plan for {repo} (402): make it public, or see "
        "https://huggingface.co/settings/billing",
        403: f"this token may not do that to {repo} (403): use one that may write for {owner}, or another user/repo",
        409: f"{repo} changed at the same moment (409); run it again",
        412: f"somebody else pushed to {repo} meanwhile; nothing was changed, run it again",
        416: f"the download of {repo} broke off; run it again",
        429: "the Hub asks to slow down (429); wait a few minutes and run it again",
    }
    return sentences.get(status, f"the Hub cannot do this for {repo} just now ({status}); run it again later")


def _explain_transfer(error: Exception, repo: str, hint: Callable[[], str]) -> str | None:
    """Explain a full disk, a lost connection or a broken transfer; None for any other error."""
    import httpx2
    from huggingface_hub import errors

    download_errors = (errors.LocalEntryNotFoundError, errors.FileMetadataError, errors.XetDownloadError)
    connection_errors = (httpx2.HTTPError, errors.OfflineModeIsEnabled, TimeoutError, ConnectionError)
    if isinstance(error, download_errors + connection_errors):
        disk = _explain_disk(error) if isinstance(error, download_errors) else None
        return disk or (f"the Hugging Face Hub cannot be reached, or the line broke; {hint() or 'run it again later'}")
    if isinstance(error, RuntimeError) and "Error while uploading" in str(error):
        return f"the upload to {repo} broke off; whole files are kept there: run it again"
    if isinstance(error, OSError):
        broke = "Consistency check failed" in str(error)
        return f"the download of {repo} broke off; run it again" if broke else _explain_disk(error)
    return None


def _explain_disk(error: BaseException | None) -> str | None:
    """Explain a cache that cannot be written to, from the errors that the client wrapped; None for other causes."""
    while error is not None:
        number = getattr(error, "errno", None)
        if number in FULL:
            return "the disk is full where the Hub's files are kept; make room, or set HF_HOME to a folder elsewhere"
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            return "the Hub's files cannot be kept: their cache may not be written to; set HF_HOME to a folder of yours"
        error = error.__cause__ or error.__context__
    return None
