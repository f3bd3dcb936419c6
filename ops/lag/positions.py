"""Offset arithmetic on the bounds of a partition, without a broker."""

from __future__ import annotations

from dataclasses import dataclass


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


def lost_offsets(committed: int | None, bounds: Bounds) -> int:
    """Offsets that retention deleted before the group read them; 0 when it never committed."""
    if committed is None:
        return 0
    return max(0, bounds.log_start - committed)


def offset_distance(position: int, bounds: Bounds) -> int:
    """Offsets between `position` and the last stable offset: an upper bound of the lag; other tools call it lag."""
    return max(0, bounds.last_stable - position)
