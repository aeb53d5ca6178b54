"""Models of the Hugging Face Hub on a screen: fetched once for all visitors, the last few kept in memory.

A screen knows a model as ``user/repo@commit`` (12 digits). When a branch moves, the model of that name stays the same;
``newer`` reports the newer commit, which opens under another name. A model that is in the cache opens without the
network.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, defaultdict
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrcore.bundle.folder import is_ensemble, member_folders, read_config, read_ensemble
from cxrcore.bundle.reference import MAIN, Reference, origin, parse_reference, reference_to
from cxrcore.errors import HubError, InvalidBundle
from cxrcore.hub.cache import cached_references, cached_snapshot
from cxrcore.hub.client import VISITOR_BYTES, Token
from cxrcore.hub.pull import newer_revision, open_reference, pull_bundle

if TYPE_CHECKING:
    from cxrcore.models.base import Model

MAX_LOADED = 3  # models in memory, beside those a screen always offers
MAX_FETCHES = 2  # at a time
MAX_SIDE = 2048  # pixels; the largest input that a visitor's model may take
ASK_AGAIN_S = 300.0  # how long the Hub's answer about a branch is reused
_FORGET_S = 10.0  # how long the result of a fetch is kept for those who ask again
_SITE = "https://huggingface.co/"


@dataclass(frozen=True)
class NewerRevision:
    """A newer commit on the branch that a model was fetched from."""

    reference: str  # what opens it: user/repo, or user/repo@branch
    repo: str
    revision: str  # the commit it is at now, 12 digits


class HubCatalog:
    """Models of the Hub, by ``user/repo[@revision]``.

    open_to_visitors: whether a visitor may open any model. token: False for visitors from elsewhere, who may open
    public models only; None for the person who runs the server, whose own token is used. started: the model that the
    server was started with; every visitor may open its newer revisions.
    """

    def __init__(self, open_to_visitors: bool = False, token: Token = False, started: Reference | None = None) -> None:
        self.open_to_visitors = open_to_visitors
        self._token, self._started = token, started
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._branches: dict[str, Reference] = {}  # name -> the branch it was opened from
        self._own: set[str] = set()  # names of ``started``, in all its revisions
        self._opened: set[str] = set()  # names that visitors have opened
        self._newer: dict[str, tuple[float, NewerRevision | None]] = {}  # name -> when the Hub was asked, its answer
        self._jobs: dict[tuple[str, bool], tuple[float, Future[str]]] = {}
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._slots = threading.BoundedSemaphore(MAX_FETCHES)
        self._lock = threading.Lock()

    def __getitem__(self, text: str) -> Model:
        """The model, fetched if it is not in the cache. Raises HubError or InvalidBundle, with one sentence."""
        reference = _read(text)
        self._token_for(reference)
        with self._lock:
            if (name := str(reference)) in self._loaded:  # also when it has left the cache meanwhile
                self._loaded.move_to_end(name)
                return self._loaded[name]
        return self._load(*self.find(text))

    def open(self, text: str, newest: bool = False) -> str:
        """Fetch and load a model; ``newest``: the branch as it is on the Hub now. Returns its name. Raises as above."""
        name, folder = self.find(text, newest)
        self._load(name, folder)
        return name

    def poll(self, text: str, newest: bool = False) -> str | None:
        """As ``open``, in the background: None while the model is being fetched, then its name or its error.

        Equal requests share one fetch.
        """
        with self._lock:
            now = time.monotonic()
            self._jobs = {key: job for key, job in self._jobs.items() if not job[1].done() or now - job[0] < _FORGET_S}
            if (text, newest) not in self._jobs:
                self._jobs[text, newest] = now, self._begin(text, newest)
            job = self._jobs[text, newest][1]
        try:
            return job.result(timeout=0.3)
        except TimeoutError:
            if job.done():
                raise
            return None

    def _begin(self, text: str, newest: bool) -> Future[str]:
        job: Future[str] = Future()

        def work() -> None:
            try:
                name = self.open(text, newest)
            except BaseException as error:  # ``poll`` raises it
                job.set_exception(error)
            else:
                job.set_result(name)
            with self._lock:
                self._jobs[text, newest] = time.monotonic(), job

        threading.Thread(target=work, daemon=True).start()  # the server ends without waiting for downloads
        return job

    def adopt(self, name: str) -> None:
        """Register the name under which ``started`` was loaded."""
        assert self._started is not None
        self._own.add(name)
        self._follow(name, self._started)

    def cached_models(self) -> dict[str, Path]:
        """Models that open without the network, name -> folder; empty unless the visitor runs the server."""
        if not self.open_to_visitors or self._token is False:
            return {}
        references = {name: parse_reference(name) for name in cached_references(self._token)}
        folders = {name: cached_snapshot(reference, self._token) for name, reference in references.items() if reference}
        return {name: folder for name, folder in folders.items() if folder}

    def newer(self, name: str) -> NewerRevision | None:
        """The newer revision of the branch that a model was opened from; None without one, or without the network.

        The Hub is asked once every ``ASK_AGAIN_S``. Takes up to 5 s.
        """
        with self._lock:
            if name not in self._opened and name not in self._own:
                return None
            asked, newer = self._newer.get(name, (-ASK_AGAIN_S, None))
            if time.monotonic() - asked < ASK_AGAIN_S:
                return newer
            self._newer[name] = time.monotonic(), newer
        try:
            newer = self._ask_hub(name)
        except HubError:
            newer = None
        with self._lock:
            self._newer[name] = time.monotonic(), newer
        return newer

    def _ask_hub(self, name: str) -> NewerRevision | None:
        here = parse_reference(name)
        if here is None or here.revision is None:
            return None
        token = self._token_for(here)
        branch = self._branches.get(name)
        if branch is None:
            main = cached_snapshot(Reference(here.repo), token)
            if origin(main) != name:
                return None  # an older commit, chosen on purpose
            branch = Reference(here.repo)
        moved = newer_revision(here.repo, here.revision, branch.revision or MAIN, token)
        return NewerRevision(str(branch), here.repo, moved[:12]) if moved else None

    def find(self, text: str, newest: bool = False) -> tuple[str, Path]:
        """The name of a model and its folder, fetched if need be; nothing is loaded. Raises as ``open``."""
        reference = _read(text)
        token = self._token_for(reference)
        folder = None if newest else cached_snapshot(reference, token)
        if folder is None:
            folder = self._fetch(reference, token, newest)
        name = str(origin(folder))
        if reference == self._started:
            self._own.add(name)
        self._opened.add(name)
        self._follow(name, reference)
        return name, folder

    def _token_for(self, reference: Reference) -> Token:
        """The token to open it with. Raises HubError where visitors may not open it."""
        own = self._started is not None and reference.pinned and reference.repo == self._started.repo
        if own or reference == self._started or str(reference) in self._own:  # a whole commit cannot be guessed
            return None
        if not self.open_to_visitors:
            raise HubError(
                f"this page opens no other models from the Hugging Face Hub, so not {reference}; choose one of those "
                "it offers, or run it on a machine of your own"
            )
        return self._token

    def _fetch(self, reference: Reference, token: Token, newest: bool) -> Path:
        if not self._slots.acquire(blocking=False):
            raise HubError("other models are being fetched here just now; try again in a minute")
        try:
            if newest:
                return pull_bundle(str(reference), say=str, token=token, limit_bytes=VISITOR_BYTES)
            return open_reference(reference, token, VISITOR_BYTES)
        finally:
            self._slots.release()

    def _follow(self, name: str, reference: Reference) -> None:
        if not (reference.pinned or reference.shortened):
            self._branches[name] = reference

    def _load(self, name: str, folder: Path) -> Model:
        with self._loading[name]:
            with self._lock:
                if name in self._loaded:
                    self._loaded.move_to_end(name)
                    return self._loaded[name]
            _refuse_huge(folder, name)
            model = load_on_one_thread(folder)
            with self._lock:
                self._loaded[name] = model
                while len(self._loaded) > MAX_LOADED:
                    self._loaded.popitem(last=False)
            return model


def is_local(*addresses: str) -> bool:
    """Whether only this computer reaches a server: it listens on loopback addresses alone and is no Space."""
    return "SPACE_ID" not in os.environ and all(
        address in ("localhost", "::1") or address.startswith("127.") for address in addresses
    )


def hub_open_to_visitors(local: bool) -> bool:
    """Whether visitors may open any model of the Hub: ``CXR_HUB`` 1 or 0; by default only on a ``local`` server."""
    return os.environ.get("CXR_HUB", str(int(local))) == "1"


def _read(text: str) -> Reference:
    """A typed reference, or the address of a model's page. Raises HubError with the expected form."""
    return reference_to(text.strip().removeprefix(_SITE).replace("/tree/", "@", 1).rstrip("/"))


def load_on_one_thread(reference: str | Path) -> Model:
    """``cxrcore.load`` for a server: torch computes on one thread, which is faster when several films come at once."""
    import torch

    from cxrcore.models.opening import load

    torch.set_num_threads(1)
    return load(reference)


def _refuse_huge(folder: Path, name: str) -> None:
    """Raise InvalidBundle for a config whose input would exhaust the server's memory."""
    folders = member_folders(folder, read_ensemble(folder)) if is_ensemble(folder) else [folder]
    for size in (read_config(member).preprocessing.size for member in folders):
        if max(size) > MAX_SIDE:
            raise InvalidBundle(
                f"{name} takes films of {size[0]} × {size[1]} pixels and at most {MAX_SIDE} a side are read here; "
                "run it on a machine of your own"
            )
