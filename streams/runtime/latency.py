"""How long inputs take from being taken up to the commit of what was made of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from schemas.record import Record
from streams import metrics


@dataclass(frozen=True, slots=True)
class _Pending:
    """An input on its way to a commit."""

    offset: int
    taken_up: float
    event: Record | None


class Latencies:
    """The pending inputs of one stage, in the order of their offsets per topic and partition."""

    def __init__(self, stage_name: str) -> None:
        self._stage_name = stage_name
        self._pending: dict[tuple[str, int], deque[_Pending]] = {}

    def clear(self) -> None:
        """Forget what is pending: partitions were assigned anew, and it is read again."""
        self._pending.clear()

    def forget(self, partition: int) -> None:
        """Forget what is pending of a partition: it is processed anew."""
        for place in [place for place in self._pending if place[1] == partition]:
            del self._pending[place]

    def completed(self, topic: str, partition: int, offset: int, taken_up: float, event: Record | None) -> None:
        """An input, taken up at `taken_up` (epoch seconds), waits for its commit; `event` is None where undecodable."""
        self._pending.setdefault((topic, partition), deque()).append(_Pending(offset, taken_up, event))

    def committed(self, partition: int, offsets: Mapping[str, int]) -> None:
        """Measure all inputs below `offsets` (topic → next offset to read): their commit has just ended."""
        now = time.time()
        for topic, offset in offsets.items():
            pending = self._pending.get((topic, partition))
            while pending and pending[0].offset < offset:
                self._measure(pending.popleft(), now)

    def _measure(self, done: _Pending, now: float) -> None:
        metrics.STAGE.labels(self._stage_name).observe(now - done.taken_up)
        # Acknowledgements and ticks have no lane and were not published by a camera.
        published_at = getattr(done.event, "published_at", None)
        captured_at = getattr(done.event, "captured_at", None)
        lane = getattr(done.event, "lane", None)
        if published_at is not None and captured_at is not None and lane is not None:
            labels = (self._stage_name, lane.value)
            metrics.SINCE_PUBLISHED.labels(*labels).observe(max(0.0, now - published_at.timestamp()))
            metrics.SINCE_CAPTURED.labels(*labels).observe(max(0.0, now - captured_at.timestamp()))
