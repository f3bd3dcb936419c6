"""Threads that were lent a call which may never come back: a read from a dead disk, a model in a loop.

Whoever waits for such a call goes on at its deadline; the thread is lost until the call returns. So it is written down
how long the oldest has been away: a process that loses threads for good is to be replaced (`streams.runtime.pulse`).
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Lent:
    """Calls that are under way in threads, and since when. Thread-safe."""

    def __init__(self) -> None:
        self._since: dict[Future[object], float] = {}
        self._lock = threading.Lock()

    def watch(self, call: Future[T]) -> Future[T]:
        """Count this call until it has returned; returns it."""
        known: Future[object] = call  # type: ignore[assignment]
        with self._lock:
            self._since[known] = time.monotonic()
        known.add_done_callback(self._returned)
        return call

    def longest_s(self) -> float:
        """Seconds since the oldest call that has not returned was lent its thread; 0 when all have."""
        with self._lock:
            return time.monotonic() - min(self._since.values()) if self._since else 0.0

    def _returned(self, call: Future[object]) -> None:
        with self._lock:
            self._since.pop(call, None)
