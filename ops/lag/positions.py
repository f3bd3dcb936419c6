"""Offset arithmetic on the bounds of a partition, without a broker."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass

#: (group, topic, partition)
Key = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a partition holds, in offsets.

    [log_start, last_stable) can be read; [last_stable, high_watermark) waits for an open transaction to end.
    """

    log_start: int
    last_stable: int
    high_watermark: int


def next_read(committed: int | None, bounds: Bounds) -> int:
    """Offset at which a `read_committed` consumer with `auto.offset.reset=earliest` would start.

    No commit: the log start. Below the log start (retention passed it) or above the high watermark (the topic was
    recreated): the broker answers OFFSET_OUT_OF_RANGE and the consumer starts over at the log start. Above the last
    stable offset: the consumer waits there, so no readable record is unread.
    """
    if committed is None or committed < bounds.log_start or committed > bounds.high_watermark:
        return bounds.log_start
    return committed


def lost_offsets(committed: int | None, bounds: Bounds, nothing_until: int = 0) -> int:
    """Offsets that retention deleted before the group read them; 0 when it never committed.

    A commit stands before the markers of its own transaction. `nothing_until` is the offset up to which there was
    nothing to read for this commit when it was last seen: what lay before it was not lost.
    """
    if committed is None:
        return 0
    return max(0, bounds.log_start - max(committed, nothing_until))


class ReadToTheEnd:
    """What groups had left to read when they were last seen: up to which offset there was nothing but markers."""

    def __init__(self, in_transactions: Set[str] = frozenset()) -> None:
        """`in_transactions` are topics that are written in transactions only: each ends with a marker."""
        self._in_transactions = in_transactions
        self._until: dict[Key, tuple[int, int]] = {}

    def note(self, key: Key, committed: int | None, bounds: Bounds) -> None:
        """Nothing readable was left for this commit now."""
        # A commit before the log start has nothing left either, whatever was deleted.
        if committed is not None and committed >= bounds.log_start:
            self._until[key] = committed, bounds.last_stable

    def until(self, key: Key, committed: int | None) -> int:
        """The offset for `lost_offsets`. Where nothing is known of this commit: behind a marker that must follow."""
        known, until = self._until.get(key, (None, 0))
        if known == committed:
            return until
        return committed + 1 if committed is not None and key[1] in self._in_transactions else 0

    def forget(self, keys: Iterable[Key]) -> None:
        """These groups or partitions are gone."""
        for key in keys:
            self._until.pop(key, None)


def offset_distance(position: int, bounds: Bounds) -> int:
    """Offsets between `position` and the last stable offset: an upper bound of the lag; other tools call it lag."""
    return max(0, bounds.last_stable - position)
