"""Files that visitors uploaded, kept in this server's memory under a token, so that a reload or a link finds them.

Whoever has the token, which is in the address only, opens the table; nobody can guess or list tokens. A file is gone an
hour after its last use, when its visitor removes it, or when newer uploads need the room. It is never written to disk.
"""

from __future__ import annotations

import io
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import streamlit as st

KEEP_S = 3600.0
MOST_FILES, MOST_BYTES = 32, 400_000_000
_TOKEN_BYTES = 16


class Upload(io.BytesIO):
    """An uploaded file, in memory: its content, its name, and an id that no other upload has."""

    def __init__(self, name: str, content: bytes, file_id: str) -> None:
        super().__init__(content)
        self.name, self.file_id = name, file_id


@dataclass(eq=False)
class Uploads:
    """Uploaded files by token; safe to use from several visitors' threads."""

    clock: Callable[[], float] = time.monotonic
    _files: OrderedDict[str, tuple[float, str, bytes]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, name: str, content: bytes) -> str:
        """Keep a file; the token that opens it. The oldest ones go where there are too many, or too many bytes."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        with self._lock:
            self._files[token] = self.clock(), name, content
            self._drop_old()
        return token

    def get(self, token: str) -> Upload | None:
        """The file, kept for another hour from now; None where it is no longer kept."""
        with self._lock:
            self._drop_old()
            kept = self._files.pop(token, None)
            if kept is None:
                return None
            _, name, content = kept
            self._files[token] = self.clock(), name, content
        return Upload(name, content, token)

    def drop(self, token: str) -> None:
        """Forget a file."""
        with self._lock:
            self._files.pop(token, None)

    def _drop_old(self) -> None:
        now, size = self.clock(), sum(len(content) for _, _, content in self._files.values())
        for token, (used, _, content) in list(self._files.items()):  # the least recently used first
            if now - used > KEEP_S or len(self._files) > MOST_FILES or (size > MOST_BYTES and len(self._files) > 1):
                size -= len(content)
                del self._files[token]


@st.cache_resource
def uploads() -> Uploads:
    """This server's, for all visitors."""
    return Uploads()
