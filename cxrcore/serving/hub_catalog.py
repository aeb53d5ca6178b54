"""Which model on the Hub does a visitor of a screen mean? Fetched once for all of them, the last few kept in memory.

A model is known to a screen as ``user/repo@commit`` (12 digits), so a branch that moves changes nobody's answers: it is
offered (``newer``), and whoever takes the offer gets a model of another name. Nothing here waits for the Hub while a
model that is in the cache is asked for.
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
from cxrcore.hub.client import VISITOR_BYTES, Token
from cxrcore.hub.pull import cached, cached_references, newer_revision, open_reference, pull_bundle

if TYPE_CHECKING:
    from cxrcore.models.base import Model

KEPT = 3  # models in memory, beside those a screen always offers
FETCHES = 2  # at a time
MAX_SIDE = 2048  # pixels; what a stranger's config may ask a film to be resized to
ASK_AGAIN_S = 300.0  # how long the Hub's answer about a branch is believed
_FORGET_S = 10.0  # how long it is remembered what became of a fetch
_SITE = "https://huggingface.co/"


@dataclass(frozen=True)
class Newer:
    """A branch that has moved on since a model was fetched from it."""

    reference: str  # what opens it: user/repo, or user/repo@branch
    repo: str
    revision: str  # the commit it is at now, 12 digits


class HubModels:
    """Models on the Hub, by ``user/repo[@revision]``.

    ``open_to_visitors``: whether they may name any. ``token``: False where they are strangers, so that they are shown
    what the Hub shows everybody; None where they are whoever runs the server. ``started``: the model the server itself
    was started with, whose newer revisions everybody may open.
    """

    def __init__(self, open_to_visitors: bool = False, token: Token = False, started: Reference | None = None) -> None:
        self.open_to_visitors = open_to_visitors
        self._token, self._started = token, started
        self._loaded: OrderedDict[str, Model] = OrderedDict()
        self._branches: dict[str, Reference] = {}  # what was asked for when a name was opened, where that can move
        self._own: set[str] = set()  # names that ``started`` has led to
        self._found: set[str] = set()  # names that visitors were given
        self._asked: dict[str, tuple[float, Newer | None]] = {}  # name: when the Hub was asked for a newer one
        self._jobs: dict[tuple[str, bool], tuple[float, Future[str]]] = {}
        self._loading: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._slots = threading.BoundedSemaphore(FETCHES)
        self._lock = threading.Lock()

    def __getitem__(self, text: str) -> Model:
        """The model, fetched only if it is not here. Raises HubError or InvalidBundle, in one sentence."""
        reference = _read(text)
        self._token_for(reference)
        with self._lock:
            if (name := str(reference)) in self._loaded:  # even if the cache has lost it meanwhile
                self._loaded.move_to_end(name)
                return self._loaded[name]
        return self._load(*self.find(text))

    def open(self, text: str, newest: bool = False) -> str:
        """The name by which a model can be asked for from now on, fetched and loaded; as the branch is now if
        ``newest``. Raises as above."""
        name, folder = self.find(text, newest)
        self._load(name, folder)
        return name

    def ask(self, text: str, newest: bool = False) -> str | None:
        """As ``open``, without waiting: None while it is being fetched. Whoever asks the same gets the same answer."""
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
            except BaseException as error:  # whoever asks for the result gets it
                job.set_exception(error)
            else:
                job.set_result(name)
            with self._lock:
                self._jobs[text, newest] = time.monotonic(), job

        threading.Thread(target=work, daemon=True).start()  # nobody waits for a download when the server ends
        return job

    def adopt(self, name: str) -> None:
        """Take note that ``started`` is at this name."""
        assert self._started is not None
        self._own.add(name)
        self._follow(name, self._started)

    def listed(self) -> dict[str, Path]:
        """Names that open without the network, for the menu of whoever runs the server; nobody else's business."""
        if not self.open_to_visitors or self._token is False:
            return {}
        references = {name: parse_reference(name) for name in cached_references(self._token)}
        folders = {name: cached(reference, self._token) for name, reference in references.items() if reference}
        return {name: folder for name, folder in folders.items() if folder}

    def newer(self, name: str) -> Newer | None:
        """Whether the branch a model came from has moved; the Hub is asked every few minutes, and may be out of reach.

        Takes up to 5 s, so ask beside an answer, never before it.
        """
        with self._lock:
            if name not in self._found and name not in self._own:
                return None
            when, known = self._asked.get(name, (-ASK_AGAIN_S, None))
            if time.monotonic() - when < ASK_AGAIN_S:
                return known
            self._asked[name] = time.monotonic(), known
        try:
            known = self._ask_hub(name)
        except HubError:
            known = None  # nothing to offer
        with self._lock:
            self._asked[name] = time.monotonic(), known
        return known

    def _ask_hub(self, name: str) -> Newer | None:
        here = parse_reference(name)
        if here is None or here.revision is None:
            return None
        token = self._token_for(here)
        branch = self._branches.get(name)
        if branch is None:
            main = cached(Reference(here.repo), token)
            if origin(main) != name:
                return None  # an older commit, chosen as such
            branch = Reference(here.repo)
        moved = newer_revision(here.repo, here.revision, branch.revision or MAIN, token)
        return Newer(str(branch), here.repo, moved[:12]) if moved else None

    def find(self, text: str, newest: bool = False) -> tuple[str, Path]:
        """The name of a model, and its folder, fetched where need be; no network is opened. Raises as ``open``."""
        reference = _read(text)
        token = self._token_for(reference)
        folder = None if newest else cached(reference, token)
        if folder is None:
            folder = self._fetch(reference, token, newest)
        name = str(origin(folder))
        if reference == self._started:
            self._own.add(name)
        self._found.add(name)
        self._follow(name, reference)
        return name, folder

    def _token_for(self, reference: Reference) -> Token:
        """Raises HubError where this is not for visitors."""
        own = self._started is not None and reference.pinned and reference.repo == self._started.repo
        if own or reference == self._started or str(reference) in self._own:  # nobody guesses a whole commit's name
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
            model = load_quietly(folder)
            with self._lock:
                self._loaded[name] = model
                while len(self._loaded) > KEPT:
                    self._loaded.popitem(last=False)
            return model


def is_own_computer(*addresses: str) -> bool:
    """Whether nobody but who runs a server reaches it: it listens on loopback addresses alone, and is no Space."""
    return "SPACE_ID" not in os.environ and all(
        address in ("localhost", "::1") or address.startswith("127.") for address in addresses
    )


def may_visitors_open(own_computer: bool) -> bool:
    """Whether visitors may open models of their own choice: ``CXR_HUB`` 1 or 0, else on one's own computer alone."""
    return os.environ.get("CXR_HUB", str(int(own_computer))) == "1"


def _read(text: str) -> Reference:
    """What somebody typed, or the address of the model's page. Raises HubError saying what is expected."""
    return reference_to(text.strip().removeprefix(_SITE).replace("/tree/", "@", 1).rstrip("/"))


def load_quietly(reference: str | Path) -> Model:
    """``cxrcore.load`` for a server: one thread, since a second one on a busy core costs more than it gives."""
    import torch

    from cxrcore.models.opening import load

    torch.set_num_threads(1)
    return load(reference)


def _refuse_huge(folder: Path, name: str) -> None:
    """Raise InvalidBundle for a config that would take the server's memory with one film."""
    folders = member_folders(folder, read_ensemble(folder)) if is_ensemble(folder) else [folder]
    for size in (read_config(member).preprocessing.size for member in folders):
        if max(size) > MAX_SIDE:
            raise InvalidBundle(
                f"{name} takes films of {size[0]} × {size[1]} pixels and at most {MAX_SIDE} a side are read here; "
                "run it on a machine of your own"
            )
