"""``cxr push``: a bundle to the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from cxrcore.bundle.reference import reference_to
from cxrcore.models.opening import find_bundle
from cxrcore.publishing.push import Pushed, push_bundle


def push(bundle: str, repo: str, private: bool = False, revision: str | None = None, tag: str | None = None) -> Pushed:
    """Push an embedded model or a bundle's folder, saying what is sent. Raises CxrError."""
    reference_to(repo, revision)  # a mistyped name is said before any file is read
    return push_bundle(find_bundle(bundle), repo, private, revision, tag, say=tqdm.write)


def push_after_fit(run: Path, repo: str) -> Pushed:
    """What ``cxr fit --push user/repo`` does with the run it made."""
    return push_bundle(run, repo, say=tqdm.write)


def refuse_unpushable(repo: str) -> None:
    """Raise HubError, before hours of training, where no push could follow: no token, or a mistyped name."""
    from cxrcore.publishing.push import check_push

    check_push(repo)
