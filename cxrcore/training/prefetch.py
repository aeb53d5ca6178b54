"""Make the next batches in another thread while a step runs, and measure the time spent waiting for them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic, TypeVar

T = TypeVar("T")
_END: Any = object()


class Prefetcher(Generic[T]):
    """Iterate over ``items``, which another thread makes at most ``depth`` ahead; its exceptions are raised here."""

    def __init__(self, items: Iterable[T], depth: int = 2) -> None:
        self.waited = 0.0  # seconds in which the next item was not ready
        self._items, self._depth = iter(items), depth

    def __iter__(self) -> Iterator[T]:
        with ThreadPoolExecutor(1, "batches") as thread:
            ahead = deque(thread.submit(next, self._items, _END) for _ in range(self._depth))
            while True:
                started = time.perf_counter()
                item = ahead.popleft().result()
                self.waited += time.perf_counter() - started
                if item is _END:
                    return
                ahead.append(thread.submit(next, self._items, _END))
                yield item
