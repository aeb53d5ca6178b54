"""The films of the last few minutes, in memory only, so that another method or model needs no second upload."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

from cxrcore.errors import CxrError
from cxrcore.films.radiograph import Radiograph

if TYPE_CHECKING:
    from cxrcore.models.base import Analysis


class RecentFilms:
    """Films by a token that only the visitor's page knows.

    A film is deleted after ``seconds``, when its visitor asks for it or has left, or, the oldest first, when all
    together exceed ``max_pixels``; a DICOM's values before its window count, too.
    """

    def __init__(self, seconds: float = 900, max_pixels: int = 100_000_000) -> None:
        self.seconds, self.max_pixels = seconds, max_pixels
        self._films: OrderedDict[str, tuple[Radiograph, Analysis | None, threading.Timer]] = OrderedDict()
        self._owners: dict[str, str] = {}  # token -> the visitor, where known
        self._left: deque[str] = deque(maxlen=1000)  # visitors who left a short while ago
        self._lock = threading.Lock()

    def add(self, film: Radiograph, visitor: str = "") -> str:
        """Store a film; nothing is stored for a visitor who has left. Returns the film's token."""
        token = secrets.token_urlsafe(16)
        timer = threading.Timer(self.seconds, self.delete, [token])
        timer.daemon = True
        with self._lock:
            if visitor in self._left:
                return token
            self._owners[token] = visitor
            self._films[token] = (film, None, timer)
            while len(self._films) > 1 and sum(_values(f) for f, *_ in self._films.values()) > self.max_pixels:
                first, (*_, oldest) = self._films.popitem(last=False)
                self._owners.pop(first)
                oldest.cancel()
            timer.start()
        return token

    def __len__(self) -> int:
        return len(self._films)

    def answered(self, token: str, analysis: Analysis) -> None:
        """Store a model's answer to a film; nothing happens where the film was deleted meanwhile."""
        with self._lock:
            if token in self._films:
                film, _, timer = self._films[token]
                self._films[token] = (film, analysis, timer)

    def __contains__(self, token: object) -> bool:
        return token in self._films

    def __getitem__(self, token: str) -> Radiograph:
        """The film. Raises CxrError when it was deleted."""
        with self._lock:
            if token not in self._films:
                raise CxrError("This film was already deleted from memory; please open it again.")
            return self._films[token][0]

    def analysis(self, token: str, model_id: str) -> Analysis | None:
        """The answer of a model (``Model.id``) to a film; None where it was not stored, or the film is gone."""
        with self._lock:
            stored = self._films[token][1] if token in self._films else None
        return stored if stored and stored.prediction.model == model_id else None

    def delete(self, token: str) -> None:
        """Delete a film; an unknown token is ignored."""
        with self._lock:
            if token in self._films:
                self._owners.pop(token)
                self._films.pop(token)[-1].cancel()

    def forget(self, visitor: str) -> None:
        """Delete every film of a visitor who has left, and whatever is still being read for them; not of an unknown."""
        if not visitor:
            return
        with self._lock:
            self._left.append(visitor)
            tokens = [token for token, owner in self._owners.items() if owner == visitor]
        for token in tokens:
            self.delete(token)


def _values(film: Radiograph) -> int:
    return film.pixels.size + (0 if film.stored is None else film.stored.size)
