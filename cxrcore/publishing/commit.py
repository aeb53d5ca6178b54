"""One commit to a repository on the Hub makes it equal to a local folder; models and Spaces share it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrcore.bundle.reference import reference_to
from cxrcore.errors import HubError, InvalidBundle
from cxrcore.hub.client import TOKENS, endpoint, matches_listing, translate_hub_errors, wait_at_most

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from cxrcore.hub.client import HubFile, Token


@dataclass(frozen=True)
class Published:
    """Where a model or a Space is on the Hub after a push or a deployment."""

    url: str
    revision: str  # the commit
    unchanged: bool  # the repository was equal to the byte, so no commit was made


@dataclass(frozen=True)
class Changes:
    """What one commit has to do: paths to send and paths to delete."""

    send: Sequence[str]
    delete: Sequence[str]

    @property
    def empty(self) -> bool:
        """Whether the repository is equal already."""
        return not (self.send or self.delete)


def find_changes(folder: Path, remote: dict[str, HubFile], owned: Callable[[str], bool]) -> Changes:
    """Compare a folder with the files of a repository (``list_files``); only ``owned`` paths are ever deleted."""
    local = folder_files(folder)
    send = [path for path in local if path not in remote or not matches_listing(folder / path, remote[path])]
    return Changes(send, [path for path in remote if owned(path) and path not in local])


def commit_changes(
    api: HfApi,
    repo: str,
    folder: Path,
    changes: Changes,
    message: str,
    parent: str,
    branch: str | None = None,
    repo_type: str = "model",
) -> str:
    """Send and delete files in one commit on top of ``parent``; returns its sha.

    Raises InvalidBundle where the Hub does not accept the front matter of README.md, and the client's errors.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete

    operations: list[Any] = [CommitOperationAdd(path, folder / path) for path in changes.send]
    operations += [CommitOperationDelete(path) for path in changes.delete]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the client's, about tables in a repository of this kind
            made = api.create_commit(
                repo, operations, commit_message=message, parent_commit=parent, revision=branch, repo_type=repo_type
            )
    except ValueError as error:
        problem = " ".join(str(error).split())
        if "Invalid metadata in README.md" not in problem:
            raise
        if repo_type == "space":
            raise InvalidBundle(f"the Hub does not accept the Space's README: {problem}") from None
        problem = problem.removeprefix("Invalid metadata in README.md. - ")
        raise InvalidBundle(f"the Hub does not accept the model card ({problem}); correct it, and push again") from None
    return made.oid


def folder_files(folder: Path) -> list[str]:
    """Every file under a folder, as sorted relative paths with slashes."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def check_push(repo: str, token: Token = None) -> None:
    """Raise HubError where no push to ``repo`` can succeed: a mistyped name, no token, or a read-only token."""
    from huggingface_hub import HfApi

    with translate_hub_errors(reference_to(repo)):
        refuse_reader(HfApi(endpoint=endpoint(), token=token))


def refuse_reader(api: HfApi) -> None:
    """Raise HubError for a token that may only read."""
    role = wait_at_most(api.whoami).get("auth", {}).get("accessToken", {}).get("role")
    if role == "read":
        raise HubError(f"this token may only read; make one that may write at {TOKENS}, and set HF_TOKEN")


def refuse_public(repo: str, info: Any, private: bool) -> None:
    """Raise HubError where a private repository was asked for and the existing one is public."""
    if private and not info.private:
        raise HubError(
            f"{repo} is public already, and --private is for new ones; change it on its page, or name another"
        )
