"""Merges neighbouring segments of an index, so that its size stays bounded however much is unread.

The farther behind the end of the log, the coarser: a merged segment spans at most 1/`RATIO` of its distance to the
end, in offsets and in time. The lag at a position inside one is therefore known to about 3 % before anything is read
again, and reading the segment again costs at most that part of the backlog.
"""

from __future__ import annotations

from collections.abc import Set

from ops.lag.index import FINE_MS, PartitionIndex, Row

#: Segments a partition may have before it is thinned: 40 bytes each, so at worst 40 KiB per partition and 80 MiB for
#: 2,000 partitions.
MAX_SEGMENTS = 1_024
#: A thinned segment spans at most 1/32 of its distance to the end. Double it and the index holds twice as many
#: segments.
RATIO = 32


def thin_if_full(index: PartitionIndex, pins: Set[int] = frozenset()) -> None:
    """Thin the index when it has more than `MAX_SEGMENTS`.

    `pins` are positions of groups: a segment that starts at one is not merged into the one before, so the count at that
    position stays exact.
    """
    if len(index) <= MAX_SEGMENTS:
        return
    ratio = RATIO
    while True:
        thin(index, pins, ratio)
        if len(index) <= MAX_SEGMENTS * 3 // 4 or ratio <= 1:
            return
        ratio //= 2


def thin(index: PartitionIndex, pins: Set[int], ratio: int) -> None:
    """Merge neighbours, oldest first, where the result spans at most 1/`ratio` of its distance to the log end."""
    rows: list[Row] = []
    for i, row in enumerate(index.rows()):
        if rows and row[0] not in pins and _near(index, rows[-1], row, index.segment_end(i), ratio):
            rows[-1] = merge(rows[-1], row)
        else:
            rows.append(row)
    index.rebuild(rows)


def merge(older: Row, newer: Row) -> Row:
    """One segment for two neighbours. Dense ones stay dense: their positions remain exact."""
    start, count, run, first_ms, last_ms = older
    next_start, next_count, next_run, next_first_ms, next_last_ms = newer
    if count == 0:
        # The older part is one gap, so the merged segment begins without a run.
        return start, next_count, 0, next_first_ms, next_last_ms
    if _dense(older) and start + count == next_start:
        run += next_run
    return start, count + next_count, run, first_ms, max(last_ms, next_last_ms)


def _near(index: PartitionIndex, older: Row, newer: Row, newer_end: int, ratio: int) -> bool:
    if newer[3] < older[3] or newer[4] - older[3] > max(FINE_MS, (index.last_ms - older[3]) // ratio):
        return False
    lossless = _dense(older) and _dense(newer) and older[0] + older[1] == newer[0]
    return lossless or newer_end - older[0] <= (index.end - older[0]) // ratio


def _dense(row: Row) -> bool:
    return row[1] == row[2]
