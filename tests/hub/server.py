"""The localhost hub: ``with Hub() as hub`` answers ``huggingface_hub`` at ``hub.url``, push and pull.

Standard library only. The client reads its environment when imported, so run it in a subprocess with
``hub.environment()``, or hand it ``endpoint=hub.url`` where only pulling matters (pushing needs
``HF_HUB_DISABLE_XET=1``). Files are large files (LFS) by suffix or size, as on the Hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote

from tests.hub.storage import KINDS, Blob, HubError, Repo, goes_to_lfs

USER, TOKEN = "tester", "hf_localhost_only"
PIECE = 1 << 16


@dataclass
class Faults:
    """What goes wrong, on purpose; all off."""

    drop_after: int = 0  # bytes of one body after which the connection is cut
    drops: int = 0  # how many times that happens
    stall_after: int = 0  # bytes of one body after which nothing more comes
    delay: float = 0.0  # seconds before each 64 KiB
    corrupt: set[str] = field(default_factory=set)  # paths served with one byte flipped, same size
    create_status: dict[str, int] = field(default_factory=dict)  # {"space": 402}: what creating one answers
    hardware_status: int = 0  # what asking for a Space's hardware answers
    down: bool = False  # every request answers 503
    expired: bool = False  # every request with a token answers 401
    reader: bool = False  # the token may only read
    cut_uploads: int = 0  # how many uploads of a large file end with the connection
    too_many: int = 0  # how many requests answer 429
    silent: float = 0.0  # seconds before any answer
    names_only: bool = False  # what tells of a repository names its files and says no more of them
    card_refused: str = ""  # what the Hub finds wrong with a card's front matter


class Hub:
    """Repositories, the server that shows them, what it was asked, and its faults."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}  # LFS objects by sha256
        self.faults = Faults()
        self.requests: list[str] = []  # "GET /path bytes=5-"
        self.stopping = threading.Event()

    def __enter__(self) -> Hub:
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def environment(self, home: Path, token: str | None = TOKEN) -> dict[str, str]:
        """What a client's process needs, to be set before it imports huggingface_hub."""
        names = {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        names |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "0"}
        return names | ({"HF_TOKEN": token} if token else {})

    def add(
        self,
        repo_id: str,
        files: Mapping[str, bytes | Path],
        kind: str = "models",
        branch: str = "main",
        private: bool = False,
        title: str = "Upload files",
    ) -> str:
        """Commit files without a client, creating the repository where needed; the commit's sha."""
        repo = self.repos.get((kind, repo_id)) or self.create(kind, repo_id, private=private)
        changes: dict[str, Blob | None] = {}
        for path, source in files.items():
            content = source if isinstance(source, bytes) else source.read_bytes()
            changes[path] = Blob(content, goes_to_lfs(path, len(content)))
        return repo.commit(branch, changes, title).sha

    def create(self, kind: str, repo_id: str, private: bool = False, sdk: str | None = None) -> Repo:
        assert kind in KINDS
        repo = Repo(kind, repo_id, private, sdk)
        self.repos[kind, repo_id] = repo
        return repo

    def files(self, repo_id: str, kind: str = "models", revision: str = "main") -> dict[str, bytes]:
        """Path and content of every file at a revision: what a push left there."""
        return {path: blob.content for path, blob in self.repos[kind, repo_id].at(revision).files.items()}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Quiet: ``hub.requests`` keeps the list."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        # The path stays quoted until split: a branch "dev/x" arrives as "dev%2Fx".
        path, _, query = self.path.partition("?")
        self.hub.requests.append(f"{method} {path} {self.headers.get('Range', '')}".strip())
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.query = {key: values[-1] for key, values in parse_qs(query).items()}
        try:
            self.hub.stopping.wait(self.hub.faults.silent)
            if self.hub.faults.down:
                raise HubError(503, "", "Service unavailable")
            if self.hub.faults.too_many:
                self.hub.faults.too_many -= 1
                raise HubError(429, "", "We had to rate limit you")
            if self.hub.faults.expired and self.headers.get("Authorization"):
                raise HubError(401, "", "Invalid credentials in Authorization header")
            for verb, pattern, name in ROUTES:
                if verb in (method, "ANY") and (match := re.fullmatch(pattern, path)):
                    groups = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
                    answer = getattr(self, name)(**groups)
                    if answer is not None:
                        self._json(answer)
                    return
            raise HubError(404, "", f"no such route: {path}")
        except HubError as error:
            self._json(error.body, error.status, error.code, str(error))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _json(self, body: object, status: int = 200, code: str = "", message: str = "") -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        if message:
            self.send_header("X-Error-Message", message)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    # who is asking

    @property
    def trusted(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _writer(self) -> None:
        if not self.trusted:
            raise HubError(401, "", "Invalid username or password.")

    def _repo(self, kind: str, repo: str) -> Repo:
        found = self.hub.repos.get((kind, repo))
        if found is None or (found.private and not self.trusted):
            raise HubError(401 if found else 404, "RepoNotFound", "Repository not found")
        return found

    # the account

    def whoami(self) -> dict:
        self._writer()
        role = "read" if self.hub.faults.reader else "write"
        auth = {"accessToken": {"role": role, "displayName": "tests"}}
        return {"type": "user", "name": USER, "fullname": USER, "orgs": [], "auth": auth}

    def create_repo(self) -> dict:
        self._writer()
        asked = json.loads(self.body)
        kind = asked.get("type") or "model"
        if status := self.hub.faults.create_status.get(kind):
            raise HubError(status, "", f"creating a {kind} is not possible with this account")
        repo_id = f"{asked.get('organization') or USER}/{asked['name']}"
        url = f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        if (f"{kind}s", repo_id) in self.hub.repos:
            raise HubError(409, "", "You already created this repo", url=url)
        if not repo_id.startswith(f"{USER}/"):
            raise HubError(403, "", "You don't have the rights to create a repo under this namespace")
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        made = self.hub.create(f"{kind}s", repo_id, private, asked.get("sdk"))
        made.hardware = asked.get("hardware") or made.hardware
        return {"url": url, "name": repo_id, "id": repo_id}

    def delete_repo(self) -> dict:
        self._writer()
        asked = json.loads(self.body)
        kind, repo_id = f"{asked.get('type') or 'model'}s", f"{asked.get('organization') or USER}/{asked['name']}"
        self._repo(kind, repo_id)
        del self.hub.repos[kind, repo_id]
        return {}

    def validate_yaml(self) -> dict:
        if wrong := self.hub.faults.card_refused:
            raise HubError(400, "", wrong, errors=[{"message": wrong}], warnings=[])
        return {"errors": [], "warnings": []}

    def settings(self, kind: str, repo: str) -> dict:
        self._writer()
        asked = json.loads(self.body)
        found = self._repo(kind, repo)
        if "visibility" in asked:
            found.private = asked["visibility"] == "private"
        return {"private": found.private}

    # what a Space has beside its files

    def secrets(self, kind: str, repo: str) -> dict:
        self._writer()
        found = self._repo(kind, repo)
        if self.command == "POST":
            asked = json.loads(self.body)
            found.secrets[asked["key"]] = asked["value"]
        return {key: {"key": key} for key in found.secrets}  # never their values

    def runtime(self, kind: str, repo: str) -> dict:
        hardware = self._repo(kind, repo).hardware
        return {"stage": "BUILDING", "hardware": {"current": None, "requested": hardware}, "gcTimeout": None}

    def hardware(self, kind: str, repo: str) -> dict:
        self._writer()
        if status := self.hub.faults.hardware_status:
            raise HubError(status, "", "this hardware needs a payment method")
        self._repo(kind, repo).hardware = json.loads(self.body)["flavor"]
        return self.runtime(kind, repo)

    # reading

    def info(self, kind: str, repo: str, rev: str = "main") -> dict:
        blobs = self.query.get("blobs", "").lower() == "true" and not self.hub.faults.names_only
        return self._repo(kind, repo).info(rev, blobs)

    def tree(self, kind: str, repo: str, rev: str, path: str = "") -> list[dict]:
        return self._repo(kind, repo).tree(rev, path, self.query.get("recursive", "").lower() in ("true", "1"))

    def paths_info(self, kind: str, repo: str, rev: str) -> list[dict]:
        return self._repo(kind, repo).paths_info(rev, parse_qs(self.body.decode()).get("paths", []))

    def refs(self, kind: str, repo: str) -> dict:
        found = self._repo(kind, repo)
        branches = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": s} for n, s in found.branches.items()]
        tags = [{"name": n, "ref": f"refs/tags/{n}", "targetCommit": s} for n, s in found.tags.items()]
        return {"branches": branches, "tags": tags, "converts": [], "pullRequests": []}

    def commits(self, kind: str, repo: str, rev: str) -> list[dict]:
        return [
            {"id": c.sha, "title": c.title, "message": c.message, "date": c.date, "authors": [{"user": USER}]}
            for c in self._repo(kind, repo).history(rev)
        ]

    def resolve(self, repo: str, rev: str, path: str, kind: str = "models") -> None:
        """A file, whole or from a byte on (Range), with the headers the client identifies it by."""
        found = self._repo(kind, repo)
        blob = found.blob(rev, path)
        content, faults = blob.content, self.hub.faults
        start, size = 0, len(content)
        if path in faults.corrupt and content:
            middle = size // 2
            content = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        stop = size
        if asked:
            start, stop = int(asked[1]), min(int(asked[2] or size - 1) + 1, size)
            if start >= size:
                raise HubError(416, "", "Range not satisfiable")
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("X-Repo-Commit", found.at(rev).sha)
        self.send_header("ETag", f'"{blob.sha256 if blob.lfs else blob.git_oid}"')
        if blob.lfs:
            self.send_header("X-Linked-Size", str(size))
            self.send_header("X-Linked-ETag", f'"{blob.sha256}"')
        self.end_headers()
        if self.command != "HEAD":
            self._send(content[start:stop])

    def _send(self, content: bytes) -> None:
        faults, sent = self.hub.faults, 0
        while sent < len(content):
            if faults.drops and sent >= faults.drop_after:
                faults.drops -= 1
                self.close_connection = True
                with suppress(OSError):
                    self.wfile.flush()
                    self.connection.shutdown(2)
                return
            if faults.stall_after and sent >= faults.stall_after:
                self.hub.stopping.wait()
                self.close_connection = True
                return
            stops = [stop - sent for stop in (faults.drop_after, faults.stall_after) if stop > sent]
            piece = min(PIECE, *stops, len(content))
            time.sleep(faults.delay)
            self.wfile.write(content[sent : sent + piece])
            sent += piece

    # writing

    def preupload(self, kind: str, repo: str, rev: str) -> dict:
        self._writer()
        stored = self._repo(kind, repo).at(rev).files
        files = []
        for asked in json.loads(self.body)["files"]:
            lfs = goes_to_lfs(asked["path"], asked["size"])
            known = {"path": asked["path"], "uploadMode": "lfs" if lfs else "regular", "shouldIgnore": False}
            if old := stored.get(asked["path"]):
                known["oid"] = old.sha256 if old.lfs else old.git_oid
            files.append(known)
        return {"files": files}

    def lfs_batch(self, repo: str, kind: str = "models") -> dict:
        self._writer()
        self._repo(kind, repo)
        objects = []
        for asked in json.loads(self.body)["objects"]:
            known = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.hub.large:
                upload, verify = f"{self.hub.url}/lfs/{asked['oid']}", f"{self.hub.url}/lfs/verify"
                known["actions"] = {"upload": {"href": upload}, "verify": {"href": verify}}
            objects.append(known)
        return {"transfer": "basic", "objects": objects}

    def lfs_put(self, oid: str) -> dict:
        if self.hub.faults.cut_uploads:
            self.hub.faults.cut_uploads -= 1
            self.connection.shutdown(2)
            raise ConnectionResetError
        if hashlib.sha256(self.body).hexdigest() != oid:
            raise HubError(400, "", "the content does not have the announced sha256")
        self.hub.large[oid] = self.body
        return {}

    def lfs_verify(self) -> dict:
        asked = json.loads(self.body)
        if len(self.hub.large.get(asked["oid"], b"")) != asked["size"]:
            raise HubError(400, "", "size mismatch")
        return {}

    def commit(self, kind: str, repo: str, rev: str) -> dict:
        self._writer()
        found = self._repo(kind, repo)
        header: dict = {}
        changes: dict[str, Blob | None] = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            key, value = item["key"], item["value"]
            if key == "header":
                header = value
            elif key == "file":
                changes[value["path"]] = Blob(base64.b64decode(value["content"]), lfs=False)
            elif key == "lfsFile":
                if value["oid"] not in self.hub.large:
                    raise HubError(400, "", f"the LFS object of {value['path']} was never uploaded")
                changes[value["path"]] = Blob(self.hub.large[value["oid"]], lfs=True)
            elif key in ("deletedFile", "deletedFolder"):
                changes[value["path"].rstrip("/") + ("/" if key == "deletedFolder" else "")] = None
            else:
                raise HubError(400, "", f"unknown operation {key!r}")
        title, message = header.get("summary", ""), header.get("description", "")
        made = found.commit(rev, changes, title, message, parent=header.get("parentCommit"))
        prefix = "" if kind == "models" else f"{kind}/"
        url = f"{self.hub.url}/{prefix}{repo}/commit/{made.sha}"
        return {"success": True, "commitOid": made.sha, "commitUrl": url, "hookOutput": ""}

    def tag(self, kind: str, repo: str, rev: str) -> dict:
        self._writer()
        return self._name(self._repo(kind, repo), "tags", json.loads(self.body or b"{}").get("tag", rev), rev)

    def branch(self, kind: str, repo: str, rev: str) -> dict:
        self._writer()
        start = json.loads(self.body or b"{}").get("startingPoint", "main")
        return self._name(self._repo(kind, repo), "branches", rev, start)

    def _name(self, repo: Repo, where: str, name: str, revision: str) -> dict:
        names = getattr(repo, where)
        if self.command == "DELETE":
            if names.pop(name, None) is None:
                raise HubError(404, "RevisionNotFound", f"no {name} among the {where}")
        elif name in names:
            raise HubError(409, "", f"{name} is there already")
        else:
            names[name] = repo.at(revision).sha
        return {}


_API = r"/api/(?P<kind>models|datasets|spaces)/(?P<repo>[^/]+/[^/]+)"
_PAGE = r"/(?:(?P<kind>datasets|spaces)/)?(?P<repo>[^/]+/[^/]+)"
_REV = r"/(?P<rev>[^/]+)"
ROUTES = (
    ("GET", r"/api/whoami-v2", "whoami"),
    ("POST", r"/api/repos/create", "create_repo"),
    ("DELETE", r"/api/repos/delete", "delete_repo"),
    ("POST", r"/api/validate-yaml", "validate_yaml"),
    ("GET", _API, "info"),
    ("GET", _API + "/revision" + _REV, "info"),
    ("GET", _API + "/tree" + _REV + "(?:/(?P<path>.*))?", "tree"),
    ("POST", _API + "/paths-info" + _REV, "paths_info"),
    ("GET", _API + "/refs", "refs"),
    ("GET", _API + "/commits" + _REV, "commits"),
    ("PUT", _API + "/settings", "settings"),
    ("ANY", _API + "/secrets", "secrets"),
    ("GET", _API + "/runtime", "runtime"),
    ("POST", _API + "/hardware", "hardware"),
    ("POST", _API + "/preupload" + _REV, "preupload"),
    ("POST", _API + "/commit" + _REV, "commit"),
    ("ANY", _API + "/tag" + _REV, "tag"),
    ("ANY", _API + "/branch" + _REV, "branch"),
    ("POST", _PAGE + r"\.git/info/lfs/objects/batch", "lfs_batch"),
    ("PUT", r"/lfs/(?P<oid>[0-9a-f]{64})", "lfs_put"),
    ("POST", r"/lfs/verify", "lfs_verify"),
    ("ANY", _PAGE + "/resolve" + _REV + "/(?P<path>.+)", "resolve"),
)
