"""The cases that wait before a step on one partition, in bounded memory."""

from __future__ import annotations

from collections import deque

#: Cases remembered per lane and partition. Of a longer queue the oldest cases are remembered, which are those that
#: matter; what did not fit is counted, and read again when the remembered part has been processed. 64 bytes each: 640
#: KiB per partition and lane.
KEPT = 10_000


class WaitingQueue:
    """Offsets, lanes and publishing times (ms since the epoch) of the cases that a step has not read, in log order."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lanes: dict[str, deque[tuple[int, int]]] = {}
        #: Last offset of each lane that did not fit, and how many.
        self._left_out: dict[str, tuple[int, int]] = {}

    def add(self, offset: int, lane: str, published_ms: int) -> None:
        """Add the case at `offset`, which has been waiting since `published_ms`."""
        queue = self._lanes.setdefault(lane, deque())
        if lane in self._left_out or len(queue) >= self._kept:
            self._left_out[lane] = (offset, self._left_out.get(lane, (0, 0))[1] + 1)
        else:
            queue.append((offset, published_ms))

    def passed(self, position: int) -> bool:
        """Remove the cases below `position`, which the step has read.

        Returns True when the log must be read again from there: all remembered cases of a lane are read, and some did
        not fit.
        """
        for queue in self._lanes.values():
            while queue and queue[0][0] < position:
                queue.popleft()
        self._left_out = {lane: left for lane, left in self._left_out.items() if left[0] >= position}
        return any(not self._lanes[lane] for lane in self._left_out)

    def clear(self) -> None:
        """Forget everything, to be read again."""
        self._lanes.clear()
        self._left_out.clear()

    def count(self, lane: str) -> int:
        """Cases that wait. What did not fit counts as waiting until all of it is passed or read again."""
        return len(self._lanes.get(lane, ())) + self._left_out.get(lane, (0, 0))[1]

    def oldest_ms(self, lane: str) -> int | None:
        """Publishing time of the case that has waited longest; None when none waits."""
        queue = self._lanes.get(lane)
        return min((published_ms for _, published_ms in queue), default=None) if queue else None
