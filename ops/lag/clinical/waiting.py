"""Cases that stand before a step on one partition: only what is open is remembered, and only so much of it."""

from __future__ import annotations

from collections import deque

#: Cases remembered a lane and partition. A longer queue is remembered from its old end, which is the end that
#: matters; what did not fit is counted, and read again when the remembered part has been worked off. 64 bytes each:
#: 640 KiB a partition and lane.
KEPT = 10_000


class WaitingQueue:
    """Offsets, lanes and publishing times (ms) of what a step has not passed, in the order of the log."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lanes: dict[str, deque[tuple[int, int]]] = {}
        #: Last offset of each lane that did not fit, and how many.
        self._left_out: dict[str, tuple[int, int]] = {}

    def add(self, offset: int, lane: str, published_ms: int) -> None:
        """A case at `offset` waits since `published_ms`."""
        queue = self._lanes.setdefault(lane, deque())
        if lane in self._left_out or len(queue) >= self._kept:
            self._left_out[lane] = (offset, self._left_out.get(lane, (0, 0))[1] + 1)
        else:
            queue.append((offset, published_ms))

    def passed(self, position: int) -> bool:
        """The step has passed everything below `position`.

        True: read again from there, for a lane's memory has run out.
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
