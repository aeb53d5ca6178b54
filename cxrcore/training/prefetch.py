"""Fetch the next batches in another thread while a step runs, and measure the time spent waiting for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from queue import Queue
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_END = object()


class Prefetcher(Generic[T]):
    """Iterate over ``items``, which another thread makes at most ``depth`` ahead; its exceptions are raised here."""

    def __init__(self, items: Iterable[T], depth: int = 2) -> None:
        self.waited = 0.0  # seconds in which the next item was not ready
        self._items = items
        self._queue: Queue[tuple[Any, BaseException | None]] = Queue(maxsize=depth)
        self._stopped = threading.Event()

    def __iter__(self) -> Iterator[T]:
        thread = threading.Thread(target=self._fetch, name="batches", daemon=True)
        thread.start()
        try:
            while True:
                started = time.perf_counter()
                item, error = self._queue.get()
                self.waited += time.perf_counter() - started
                if error is not None:
                    raise error
                if item is _END:
                    return
                yield item
        finally:  # also when the loop is left early: the thread must not wait for a reader that is gone
            self._stopped.set()
            while thread.is_alive():
                while not self._queue.empty():
                    self._queue.get_nowait()
                thread.join(0.01)

    def _fetch(self) -> None:
        try:
            for item in self._items:
                self._queue.put((item, None))
                if self._stopped.is_set():
                    return
            self._queue.put((_END, None))
        except BaseException as error:
            self._queue.put((None, error))
