"""``cxr push``: a bundle to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from cxrcore.bundle.reference import reference_to
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.commit import Published, check_push
from cxrcore.publishing.push import push_bundle


def push(
    bundle: str, repo: str, private: bool = False, revision: str | None = None, tag: str | None = None
) -> Published:
    """Push an embedded model or a bundle's folder and print what is sent. Raises CxrError."""
    reference_to(repo, revision)  # a mistyped name is reported before any file is read
    return push_bundle(find_bundle(bundle), repo, private, revision, tag, say=tqdm.write)


def push_after_fit(run: Path, repo: str) -> Published:
    """Push the run that ``cxr fit --push user/repo`` trained."""
    return push_bundle(run, repo, say=tqdm.write)


def refuse_unpushable(repo: str) -> None:
    """Raise HubError before a training whose run could not be pushed: no token, or a mistyped name."""
    check_push(repo)
