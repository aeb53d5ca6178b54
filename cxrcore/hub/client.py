"""What pushing and pulling share: how a model on the Hub is named, which files it has, what goes wrong on the way.

The client is patient (23 s of retries before it says that nobody answers) and reads its environment only when it is
imported. Here the first answer is waited for ``TIMEOUT_S`` seconds, and the environment is read at each call.
"""

from __future__ import annotations

import errno
import hashlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from cxrcore.bundle.reference import MAIN, Reference
from cxrcore.errors import HubError

T = TypeVar("T")
TIMEOUT_S = 5.0  # for the Hub's first answer
TOKENS = "https://huggingface.co/settings/tokens"
FULL = (errno.ENOSPC, errno.EDQUOT)  # a disk, or one's share of it
VISITOR_BYTES = 2_000_000_000  # what a screen fetches at most of one repository, for whoever asks
Token = str | bool | None  # False: nobody's, so only what is public; None: HF_TOKEN's or the login's


def endpoint() -> str | None:
    """Where the Hub is; the client itself looks only once, when imported."""
    return os.environ.get("HF_ENDPOINT") or None


def cache_folder() -> Path:
    """The client's own cache of models, by the variables it reads, at this moment."""
    from huggingface_hub import constants

    if named := os.environ.get("HF_HUB_CACHE"):
        return Path(named).expanduser()
    if home := os.environ.get("HF_HOME"):
        return Path(home).expanduser() / "hub"
    return Path(constants.HF_HUB_CACHE)


def checksum(path: Path, large: bool) -> str:
    """What the Hub calls this content: the sha256 of a large file (LFS), git's sha1 of a small one."""
    digest = hashlib.sha256() if large else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with open(path, "rb") as opened:
        while piece := opened.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def list_files(api: Any, info: Any, repo_type: str = "model") -> dict[str, Any]:
    """The files of a commit by path, each with the Hub's record of it: ``size``, ``blob_id``, ``lfs.sha256`` if large.

    ``info`` is the answer to model_info (dataset_info, space_info) with ``files_metadata``; mirrors and older Hubs
    name the files there and no more, and are asked for their tree.
    """
    from huggingface_hub import RepoFile

    files = {file.rfilename: file for file in info.siblings or ()}
    if all(file.blob_id and file.size is not None for file in files.values()):
        return files
    tree = api.list_repo_tree(info.id, recursive=True, revision=info.sha, repo_type=repo_type)
    return {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}


def matches_listing(path: Path, file: Any) -> bool:
    """Whether a file here has the content of one in a ``listing``."""
    return checksum(path, bool(file.lfs)) == (file.lfs.sha256 if file.lfs else file.blob_id)


def wait_at_most(call: Callable[[], T], seconds: float = TIMEOUT_S) -> T:
    """The call's answer, or TimeoutError after ``seconds``: names that do not resolve hang longer than any timeout."""
    answer: list[T] = []
    problem: list[BaseException] = []

    def run() -> None:
        try:
            answer.append(call())
        except BaseException as error:
            problem.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if problem:
        raise problem[0]
    if not answer:
        raise TimeoutError
    return answer[0]


@contextmanager
def quiet_client() -> Iterator[None]:
    """The client without its warnings, which name folders of this machine, and with bars on a terminal only."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars, logging

    loud, drawn = logging.get_verbosity(), not (sys.stderr.isatty() or are_progress_bars_disabled())
    logging.set_verbosity_error()
    if drawn:
        disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(loud)
        if drawn:
            enable_progress_bars()


@contextmanager
def translate_hub_errors(reference: Reference, still_here: Callable[[], str] = str) -> Iterator[None]:
    """Turn what can go wrong between here and the Hub into one sentence with the next step; never shows a token.

    ``still_here``: what to say after that the Hub cannot be reached.
    """
    import httpx2
    from huggingface_hub import errors

    repo = reference.repo
    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        raise HubError(
            f"there is no Hugging Face token: set HF_TOKEN, or run `hf auth login`; make one that may write at {TOKENS}"
        ) from error
    except errors.GatedRepoError as error:
        raise HubError(
            f"{repo} is gated: ask for access on its page on the Hub, then set HF_TOKEN and run it again"
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise HubError(
            f"there is no model {repo} on the Hub, or it is private and not shown to you; check the name, or set "
            "HF_TOKEN"
        ) from error
    except errors.RevisionNotFoundError as error:
        whole = " (a commit by all its 40 digits)" if reference.shortened else ""
        raise HubError(
            f"{repo} has no revision {reference.revision or MAIN!r}; name one of its branches, tags or commits{whole}"
        ) from error
    except errors.HfHubHTTPError as error:
        raise HubError(_told(error.response.status_code, repo)) from error
    except (errors.LocalEntryNotFoundError, errors.FileMetadataError, errors.XetDownloadError) as error:
        if (room := _disk(error)) is not None:
            raise HubError(room) from error
        raise HubError(_lost(still_here())) from error
    except (httpx2.HTTPError, errors.OfflineModeIsEnabled, TimeoutError, ConnectionError) as error:
        raise HubError(_lost(still_here())) from error
    except RuntimeError as error:
        if "Error while uploading" not in str(error):
            raise
        raise HubError(f"the upload to {repo} broke off; whole files are kept there: run it again") from error
    except OSError as error:
        if "Consistency check failed" in str(error):
            raise HubError(f"the download of {repo} broke off; run it again") from error
        if (room := _disk(error)) is not None:
            raise HubError(room) from error
        raise


def _told(status: int, repo: str) -> str:
    owner = repo.split("/")[0]
    known = {
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
    return known.get(status, f"the Hub cannot do this for {repo} just now ({status}); run it again later")


def _lost(still_here: str) -> str:
    return f"the Hugging Face Hub cannot be reached, or the line broke; {still_here or 'run it again later'}"


def _disk(error: BaseException | None) -> str | None:
    """What to say of a cache that cannot be written, looking through what the client wrapped around the cause."""
    while error is not None:
        number = getattr(error, "errno", None)
        if number in FULL:
            return "the disk is full where the Hub's files are kept; make room, or set HF_HOME to a folder elsewhere"
        if number in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
            return "the Hub's files cannot be kept: their cache may not be written to; set HF_HOME to a folder of yours"
        error = error.__cause__ or error.__context__
    return None
