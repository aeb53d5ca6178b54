"""What the localhost hub stores: repositories as chains of commits, each a full listing of its files."""

from __future__ import annotations

import hashlib
import posixpath
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

KINDS = ("models", "datasets", "spaces")
LFS_SUFFIXES = (
    ".safetensors",
    ".parquet",
    ".bin",
    ".zip",
    ".gz",
    ".png",
    ".jpg",
    ".jpeg",
    ".npy",
    ".npz",
    ".pt",
    ".onnx",
)
LFS_BYTES = 10_000_000  # larger files go to LFS whatever their name, as on the Hub


class HubError(Exception):
    """An answer other than 2xx: status, the Hub's X-Error-Code where it has one, and a message."""

    def __init__(self, status: int, code: str = "", message: str = "", **body: object) -> None:
        super().__init__(message or code)
        self.status, self.code, self.body = status, code, {"error": message or code, **body}


@dataclass(frozen=True)
class Blob:
    """One file's content and the two names git and LFS give it."""

    content: bytes
    lfs: bool

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def git_oid(self) -> str:
        data = self.content
        if self.lfs:  # git itself holds only the pointer
            data = (
                f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(data)}\n"
            ).encode()
        return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()

    def entry(self, path: str) -> dict:
        """As ``/tree`` and ``/paths-info`` list it."""
        entry = {"type": "file", "path": path, "oid": self.git_oid, "size": len(self.content)}
        if self.lfs:
            entry["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 134}
        return entry


@dataclass(frozen=True)
class Commit:
    sha: str
    parent: str | None
    title: str
    message: str
    date: str
    files: dict[str, Blob]


@dataclass
class Repo:
    """A model, dataset or Space: commits by sha, and the branches and tags that name them."""

    kind: str
    id: str
    private: bool = False
    sdk: str | None = None
    hardware: str = "cpu-basic"
    secrets: dict[str, str] = field(default_factory=dict)  # a Space's
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.commit("main", {}, "initial commit", orphan=True)

    def at(self, revision: str) -> Commit:
        """The commit a branch, tag or sha names."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha in self.commits:
            return self.commits[sha]
        if len(revision) >= 7:
            for known in self.commits:
                if known.startswith(revision):
                    return self.commits[known]
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")

    def blob(self, revision: str, path: str) -> Blob:
        blob = self.at(revision).files.get(path)
        if blob is None:
            raise HubError(404, "EntryNotFound", "Entry not found")
        return blob

    def commit(
        self,
        branch: str,
        changes: dict[str, Blob | None],
        title: str,
        message: str = "",
        parent: str | None = None,
        orphan: bool = False,
    ) -> Commit:
        """Apply changes (None deletes; a path with a final slash deletes the folder). A stale parent is a 412."""
        with self.lock:
            if not orphan and branch not in self.branches:
                raise HubError(404, "RevisionNotFound", f"Invalid rev id: {branch}")
            head = self.branches.get(branch)
            if parent is not None and head is not None and not head.startswith(parent):
                raise HubError(412, "", "A commit has happened since. Please refresh and try again.")
            files = dict(self.commits[head].files) if head else {}
            for path, blob in changes.items():
                if blob is not None:
                    files[path] = blob
                elif path.endswith("/"):
                    files = {name: kept for name, kept in files.items() if not name.startswith(path)}
                elif files.pop(path, None) is None:
                    raise HubError(404, "EntryNotFound", f"{path} is not there to be deleted")
            text = repr((head, title, len(self.commits), sorted((n, b.git_oid) for n, b in files.items())))
            sha = hashlib.sha1(text.encode()).hexdigest()
            date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
            self.commits[sha] = Commit(sha, head, title, message, date, files)
            self.branches[branch] = sha
            return self.commits[sha]

    def history(self, revision: str) -> list[Commit]:
        """Newest first."""
        chain, commit = [], self.at(revision)
        while True:
            chain.append(commit)
            if commit.parent is None:
                return chain
            commit = self.commits[commit.parent]

    def info(self, revision: str, blobs: bool) -> dict:
        commit = self.at(revision)
        siblings: list[dict] = []
        for path, blob in sorted(commit.files.items()):
            sibling: dict = {"rfilename": path}
            if blobs:
                sibling |= {"size": len(blob.content), "blobId": blob.git_oid}
                if blob.lfs:
                    sibling["lfs"] = {"sha256": blob.sha256, "size": len(blob.content), "pointerSize": 134}
            siblings.append(sibling)
        info = {
            "id": self.id,
            "author": self.id.split("/")[0],
            "sha": commit.sha,
            "private": self.private,
            "gated": False,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
            "tags": [],
            "lastModified": commit.date,
            "siblings": siblings,
        }
        return info | ({"sdk": self.sdk} if self.kind == "spaces" else {})

    def tree(self, revision: str, folder: str, recursive: bool) -> list[dict]:
        commit = self.at(revision)
        prefix = f"{folder}/" if folder else ""
        below = {path: blob for path, blob in sorted(commit.files.items()) if path.startswith(prefix)}
        if folder and not below:
            raise HubError(404, "EntryNotFound", f"{folder} does not exist on {revision!r}")
        folders = {parent for path in below for parent in _parents(path) if parent.startswith(prefix)}
        listing = [{"type": "directory", "path": f, "oid": _folder_oid(f), "size": 0} for f in sorted(folders)]
        listing += [blob.entry(path) for path, blob in below.items()]
        if not recursive:
            listing = [entry for entry in listing if "/" not in str(entry["path"])[len(prefix) :]]
        return listing

    def paths_info(self, revision: str, paths: list[str]) -> list[dict]:
        files = self.at(revision).files
        found = [files[path].entry(path) for path in paths if path in files]
        folders = [path for path in paths if any(name.startswith(f"{path}/") for name in files)]
        return found + [{"type": "directory", "path": path, "oid": _folder_oid(path), "size": 0} for path in folders]


def _parents(path: str) -> list[str]:
    parents = []
    while path := posixpath.dirname(path):
        parents.append(path)
    return parents


def _folder_oid(path: str) -> str:
    return hashlib.sha1(path.encode()).hexdigest()


def goes_to_lfs(path: str, size: int) -> bool:
    """The Hub's .gitattributes in one line: known binary suffixes, and anything large."""
    return size > 0 and (path.lower().endswith(LFS_SUFFIXES) or size > LFS_BYTES)
