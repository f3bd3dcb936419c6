"""When something is due, for many things at once: the earliest is found without a look at all of them."""

from __future__ import annotations

from datetime import datetime
from heapq import heappop, heappush
from uuid import UUID

#: Entries that no longer hold, before the heap is made anew.
_SPARE = 100


class DueIndex:
    """Ids and when each is due. Setting, discarding and finding cost the logarithm of how many there are.

    A heap with an entry for every time that was ever set; entries that no longer hold are dropped when they come up,
    or when they are more than those that do.
    """

    def __init__(self) -> None:
        self._when: dict[UUID, datetime] = {}
        self._heap: list[tuple[datetime, UUID]] = []

    def set(self, key: UUID, when: datetime) -> None:
        """Due at `when`, whatever was set before."""
        if self._when.get(key) != when:
            self._when[key] = when
            heappush(self._heap, (when, key))
            if len(self._heap) > 2 * len(self._when) + _SPARE:
                self._heap = sorted((when, key) for key, when in self._when.items())

    def discard(self, key: UUID) -> None:
        """Not due any more; an id that is not there is no error."""
        self._when.pop(key, None)

    def first(self) -> datetime | None:
        """The earliest time; None where nothing is due at any time."""
        self._drop_outdated()
        return self._heap[0][0] if self._heap else None

    def due(self, now: datetime, limit: int) -> list[UUID]:
        """At most `limit` ids that are due at `now`, the earliest first, equal ones by id. They stay due."""
        found: list[tuple[datetime, UUID]] = []
        while len(found) < limit and (first := self.first()) is not None and first <= now:
            found.append(heappop(self._heap))
            # Its like may be there a second time, set, discarded and set again.
            while self._heap and self._heap[0] == found[-1]:
                heappop(self._heap)
        for entry in found:
            heappush(self._heap, entry)
        return [key for _, key in found]

    def _drop_outdated(self) -> None:
        heap = self._heap
        while heap and self._when.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
