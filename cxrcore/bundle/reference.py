"""References to models on the Hugging Face Hub: ``user/repo[@revision]``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cxrcore.errors import HubError

MAIN = "main"
_REFERENCE = re.compile(r"([A-Za-z0-9][\w-]*(?:\.[\w-]+)*/[\w-]+(?:\.[\w-]+)*)(?:@([\w-]+(?:[./][\w-]+)*))?")
_SHA = re.compile(r"[0-9a-f]{40}")
_SHORT_SHA = re.compile(r"[0-9a-f]{7,39}")


@dataclass(frozen=True)
class Reference:
    """A model on the Hub, ``user/repo[@revision]``; a revision is a branch, a tag or a commit."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision}" if self.revision else self.repo

    @property
    def pinned(self) -> bool:
        """Whether the revision is a whole commit hash, which never moves."""
        return bool(self.revision and _SHA.fullmatch(self.revision))

    @property
    def shortened(self) -> bool:
        """Whether the revision may be the beginning of a commit hash, as screens show it; the Hub takes whole ones."""
        return bool(self.revision and _SHORT_SHA.fullmatch(self.revision))


def parse_reference(text: str) -> Reference | None:
    """``user/repo[@revision]`` taken apart; None where it is not of that form."""
    found = _REFERENCE.fullmatch(text)
    return Reference(found[1], found[2]) if found else None


def reference_to(repo: str, revision: str | None = None) -> Reference:
    """As ``parse_reference``, of what must be one. Raises HubError saying what one looks like."""
    found = parse_reference(repo)
    if found and revision:
        found = parse_reference(f"{found.repo}@{revision}")
    if found is None:
        kind = repo.split("/")[0] if repo.startswith(("datasets/", "spaces/")) else None
        why = f"that names one of the Hub's {kind}, and a bundle is a model" if kind else "that is no model on the Hub"
        raise HubError(f"{repo!r}: {why}; write user/repo, or user/repo@revision")
    return found


def origin(folder: Path | None) -> str | None:
    """``user/repo@commit`` (12 digits) of a folder in the Hub's cache; None of any other folder."""
    if folder is None or folder.parent.name != "snapshots" or not folder.parent.parent.name.startswith("models--"):
        return None
    return f"{folder.parent.parent.name.removeprefix('models--').replace('--', '/', 1)}@{folder.name[:12]}"
