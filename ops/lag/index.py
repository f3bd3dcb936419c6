"""Counts of the readable records of a partition, by segments, in bounded memory.

A partition's unread part may hold millions of records; it is read once, record by record, into *segments*. A segment
knows its first offset, how many readable records it holds, how many of them follow each other without a gap at its
start, and the time span of its records. New segments are fine: a run of records without a gap, at most `FINE_MS` long.
When there are too many, old neighbours are merged (`ops.lag.thinning`), so memory is bounded and detail is lost only
far behind the end of the log, in proportion to the distance.

Counts over whole segments stay exact. Only a position *inside* a merged segment that has gaps is uncertain, by a known
number of records; when the position does not move, `ops.lag.examiner` reads that one segment again and splits it there.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: A new segment begins after this many milliseconds even without a gap: the resolution of lag in seconds at the end
#: of the log. Smaller costs segments (10 per second and partition at full rate); larger makes the age of a fresh record
#: too coarse to alert on.
FINE_MS = 100

#: A segment: first offset, readable records, records without a gap at its start, time (ms) of the first record, and
#: of the youngest.
Row = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The readable records from a position on.

    `records` is never too low; it is too high by at most `uncertain`.
    """

    records: int
    uncertain: int = 0
    #: Time (ms since the epoch) of the next readable record; None: there is none. Never too young, too old by at most
    #: `uncertain_ms`.
    oldest_ms: int | None = None
    uncertain_ms: int = 0

    @property
    def exact(self) -> bool:
        """Whether reading again would improve neither the count nor, beyond `FINE_MS`, the age."""
        return self.uncertain == 0 and self.uncertain_ms <= FINE_MS


class PartitionIndex:
    """Readable records of one partition over [start, end), as segments in order.

    All times are milliseconds since the epoch.
    """

    __slots__ = ("counts", "end", "last_ms", "lasts", "runs", "start", "starts", "times")

    def __init__(self, start: int) -> None:
        self.start = start
        #: Every offset below was read.
        self.end = start
        self.last_ms = 0
        self.starts = array("q")
        self.counts = array("q")
        self.runs = array("q")
        self.times = array("q")
        self.lasts = array("q")

    def __len__(self) -> int:
        return len(self.starts)

    def append(self, offset: int, time_ms: int) -> None:
        """Add the readable record at `offset`.

        What lies between `end` and it is a gap. Records already counted are ignored.
        """
        if offset < self.end:
            return
        last = len(self.starts) - 1
        if last >= 0:
            run = self.runs[last]
            dense = run == self.counts[last] and self.starts[last] + run == offset
            if dense and 0 <= time_ms - self.times[last] < FINE_MS:
                self.counts[last] = self.runs[last] = run + 1
                self.lasts[last] = max(self.lasts[last], time_ms)
                self.end, self.last_ms = offset + 1, time_ms
                return
        self.starts.append(offset)
        self.counts.append(1)
        self.runs.append(1)
        self.times.append(time_ms)
        self.lasts.append(time_ms)
        self.end, self.last_ms = offset + 1, time_ms

    def scanned_to(self, offset: int) -> None:
        """Every offset below `offset` was read: what was not appended (markers, aborted records) is not readable."""
        self.end = max(self.end, offset)

    def segment_end(self, i: int) -> int:
        """First offset after segment `i`, its trailing gap included."""
        return self.starts[i + 1] if i + 1 < len(self.starts) else self.end

    def segment_after(self, position: int) -> int:
        """Start of the first segment after `position`: the end of the one that holds it."""
        i = bisect_right(self.starts, position)
        return self.starts[i] if i < len(self.starts) else self.end

    def readable(self) -> int:
        """Readable records in [start, end)."""
        return sum(self.counts)

    def unread(self, position: int, upto: int | None = None) -> Unread:
        """The readable records in [position, upto); `upto` defaults to `end`.

        Raises ValueError when `position` lies before `start`.
        """
        if position < self.start:
            raise ValueError(f"position {position} lies before the indexed range [{self.start}, {self.end})")
        here = self._from(position)
        if upto is None or upto >= self.end:
            return here
        if upto <= position:
            return Unread(records=0)
        beyond = self._from(upto)
        # Both positions may lie inside the same merged segment, so each bound is taken at its worst.
        records = min(here.records - (beyond.records - beyond.uncertain), upto - position)
        least = max(0, here.records - here.uncertain - beyond.records)
        oldest = here.oldest_ms if records > 0 else None
        return Unread(
            records=records,
            uncertain=records - least,
            oldest_ms=oldest,
            uncertain_ms=here.uncertain_ms if records else 0,
        )

    def _from(self, position: int) -> Unread:
        i = bisect_right(self.starts, position) - 1
        if i < 0 or position >= self.end:
            return self._whole(i + 1, sum(self.counts) if i < 0 else 0)
        after = sum(self.counts[i + 1 :])
        passed = position - self.starts[i]
        count, run = self.counts[i], self.runs[i]
        if passed <= run or run == count:
            most = least = max(0, count - passed)
        else:
            # Past the leading run the records' offsets are unknown: as many as possible may lie after the position, or
            # before it.
            scattered = count - run
            most = min(scattered, self.segment_end(i) - position)
            least = max(0, scattered - (passed - run))
        if most == 0:
            return self._whole(i + 1, after)
        return Unread(
            records=most + after,
            uncertain=most - least,
            oldest_ms=self.times[i],
            uncertain_ms=0 if passed == 0 else self.lasts[i] - self.times[i],
        )

    def _whole(self, i: int, records: int) -> Unread:
        """All from segment `i` on: `records` of them. A split may have left segments empty; the first other one gives
        the time."""
        while i < len(self.counts) and self.counts[i] == 0:
            i += 1
        return Unread(records=records, oldest_ms=self.times[i] if i < len(self.times) else None)

    def split(self, position: int, records: int, time_ms: int) -> None:
        """Cut the segment that holds `position` there; `records` of it lie at or after it, the first at `time_ms`."""
        i = bisect_right(self.starts, position) - 1
        if i < 0 or self.starts[i] == position or position >= self.segment_end(i):
            return
        before = self.counts[i] - records
        if before < 0:
            raise ValueError(f"segment at {self.starts[i]} holds {self.counts[i]} records, not {records}")
        run = min(records, max(0, self.runs[i] - (position - self.starts[i])))
        row = (position, records, run, time_ms if records else self.lasts[i], self.lasts[i])
        self.counts[i], self.runs[i] = before, min(self.runs[i], before)
        for column, value in zip(self._columns(), row, strict=True):
            column.insert(i + 1, value)

    def drop_below(self, position: int) -> None:
        """Drop the segments that end at or before `position`: no group reads there, or the log no longer holds them."""
        if position <= self.start:
            return
        keep = bisect_right(self.starts, position) - 1
        if keep >= 0 and (position >= self.segment_end(keep) or self.counts[keep] == 0):
            keep += 1
        keep = max(keep, 0)
        for column in self._columns():
            del column[:keep]
        first = self.starts[0] if self.starts else position
        self.start = min(first, position)
        self.end = max(self.end, position)

    def replace(self, first: int, last: int, fresh: PartitionIndex) -> None:
        """Replace the segments of [first, last) by those of `fresh`, which was read again over that range.

        `first` may lie before `start` (a group went back). Raises ValueError when an end of the range lies inside a
        segment.
        """
        if not (first <= self.start or self._boundary(first)) or not self._boundary(last):
            raise ValueError(f"[{first}, {last}) does not begin and end at boundaries of the index")
        keep, upto = bisect_left(self.starts, first), bisect_left(self.starts, last)
        for mine, theirs in zip(self._columns(), fresh._columns(), strict=True):
            mine[keep:upto] = theirs
        self.start = min(self.start, first)

    def _boundary(self, offset: int) -> bool:
        at = bisect_left(self.starts, offset)
        return offset in (self.start, self.end) or (at < len(self.starts) and self.starts[at] == offset)

    def _columns(self) -> tuple[array[int], ...]:
        return self.starts, self.counts, self.runs, self.times, self.lasts

    def rows(self) -> Iterator[Row]:
        """The segments, oldest first."""
        return zip(self.starts, self.counts, self.runs, self.times, self.lasts, strict=True)

    def rebuild(self, rows: Iterable[Row]) -> None:
        """Replace all segments by these; the covered range stays the same."""
        columns: list[tuple[int, ...]] = list(zip(*rows, strict=True)) or [()] * 5
        self.starts, self.counts, self.runs, self.times, self.lasts = (array("q", column) for column in columns)
