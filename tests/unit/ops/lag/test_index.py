"""The index against the plain list of readable offsets it stands for."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.lag.index import FINE_MS, PartitionIndex
from ops.lag.thinning import MAX_SEGMENTS, RATIO, thin, thin_if_full


@dataclass
class Log:
    """The truth: (offset, time) of every readable record, and how far the log was looked at."""

    records: list[tuple[int, int]] = field(default_factory=list)
    end: int = 0

    def after(self, position: int, upto: int | None = None) -> list[tuple[int, int]]:
        stop = len(self.records) if upto is None else bisect_left(self.records, (upto, -1))
        return self.records[bisect_left(self.records, (position, -1)) : stop]


#: Steps between records: (offsets skipped before it, milliseconds since the one before).
steps = st.lists(
    st.tuples(st.integers(0, 3) | st.integers(0, 40), st.sampled_from([0, 0, 1, 7, FINE_MS, 5_000])), max_size=120
)


def build(moves: list[tuple[int, int]], trailing: int = 0, start: int = 0) -> tuple[PartitionIndex, Log]:
    index, log = PartitionIndex(start), Log(end=start)
    offset, now = start, 1_000_000
    for skip, later in moves:
        offset, now = offset + skip, now + later
        index.append(offset, now)
        log.records.append((offset, now))
        offset += 1
    log.end = offset + trailing
    index.scanned_to(log.end)
    return index, log


@given(steps, st.integers(0, 5))
def test_before_it_is_thinned_every_position_is_counted_exactly(moves: list[tuple[int, int]], trailing: int) -> None:
    index, log = build(moves, trailing)
    for position in range(log.end + 2):
        unread, truth = index.unread(position), log.after(position)
        assert (unread.records, unread.uncertain) == (len(truth), 0)
        if truth:
            assert unread.oldest_ms is not None
            assert 0 <= truth[0][1] - unread.oldest_ms < FINE_MS
        else:
            assert unread.oldest_ms is None


@given(steps, st.integers(1, 64), st.sets(st.integers(0, 300), max_size=4))
def test_thinning_keeps_the_truth_between_the_bounds_and_never_under_reports(
    moves: list[tuple[int, int]], ratio: int, pins: set[int]
) -> None:
    index, log = build(moves, trailing=2)
    thin(index, pins, ratio)
    for position in range(log.end + 1):
        unread, truth = index.unread(position), log.after(position)
        assert unread.records - unread.uncertain <= len(truth) <= unread.records
        if truth:
            assert unread.oldest_ms is not None
            assert unread.oldest_ms <= truth[0][1]
            if unread.uncertain == 0:
                assert truth[0][1] - unread.oldest_ms <= unread.uncertain_ms


@given(steps, st.integers(1, 64), st.data())
def test_a_range_is_counted_between_its_bounds(moves: list[tuple[int, int]], ratio: int, data: st.DataObject) -> None:
    index, log = build(moves, trailing=2)
    thin(index, set(), ratio)
    position = data.draw(st.integers(0, log.end))
    upto = data.draw(st.integers(position, log.end))
    unread, truth = index.unread(position, upto), log.after(position, upto)
    assert unread.records - unread.uncertain <= len(truth) <= unread.records


@given(steps, st.data())
def test_a_segment_split_at_a_position_is_exact_there_and_stays_so_when_pinned(
    moves: list[tuple[int, int]], data: st.DataObject
) -> None:
    index, log = build(moves, trailing=2)
    thin(index, set(), 1)
    position = data.draw(st.integers(0, log.end))
    inside = [i for i in range(len(index)) if index.starts[i] <= position < index.segment_end(i)]
    if inside:
        found = log.after(position, index.segment_end(inside[0]))
        index.split(position, len(found), found[0][1] if found else 0)
        thin(index, {position}, 1)
    unread, truth = index.unread(position), log.after(position)
    assert (unread.records, unread.uncertain) == (len(truth), 0)
    if inside:
        assert unread.oldest_ms == (truth[0][1] if truth else None)
    for other in range(log.end + 1):
        bounds = index.unread(other)
        assert bounds.records - bounds.uncertain <= len(log.after(other)) <= bounds.records


@given(steps, st.integers(1, 64), st.data())
def test_dropping_what_is_behind_every_group_changes_nothing_ahead(
    moves: list[tuple[int, int]], ratio: int, data: st.DataObject
) -> None:
    index, log = build(moves, trailing=2)
    thin(index, set(), ratio)
    position = data.draw(st.integers(0, log.end + 5))
    before = {ahead: index.unread(ahead) for ahead in range(position, log.end + 6)}
    index.drop_below(position)
    assert {ahead: index.unread(ahead) for ahead in range(position, log.end + 6)} == before
    assert index.start <= position


@given(steps, st.integers(0, 4), steps)
def test_a_range_read_later_is_put_in_front(
    early: list[tuple[int, int]], gap: int, late: list[tuple[int, int]]
) -> None:
    older, _ = build(early, trailing=gap)
    index, _ = build(late, start=older.end)
    whole, log = build(early, trailing=gap)
    for offset, time_ms in [(s + k, t) for s, c, _, t, _ in index.rows() for k in range(c)]:
        whole.append(offset, time_ms)
    whole.scanned_to(index.end)
    index.replace(0, index.start, older)
    for position in range(whole.end + 1):
        assert index.unread(position).records == whole.unread(position).records
    assert index.start == 0
    assert log.end <= index.end


def test_a_compacted_range_is_read_anew_in_place() -> None:
    index, _ = build([(0, 0)] * 10 + [(0, 5_000)] * 10)
    fresh = PartitionIndex(0)
    for offset in (3, 9):
        fresh.append(offset, 1_000_000)
    index.replace(0, 10, fresh)
    assert [index.unread(p).records for p in (0, 4, 9, 10, 15)] == [12, 11, 11, 10, 5]


def test_a_range_that_begins_inside_a_segment_is_refused() -> None:
    index, _ = build([(0, 0)] * 10)
    with pytest.raises(ValueError, match=r"\[3, 10\) does not begin and end at boundaries"):
        index.replace(3, 10, PartitionIndex(3))


def test_a_position_before_what_was_read_is_refused() -> None:
    with pytest.raises(ValueError, match=r"position 4 lies before the indexed range \[5, 5\)"):
        PartitionIndex(5).unread(4)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 3), st.integers(0, 300), st.booleans())
def test_memory_is_bounded_and_the_error_small_whatever_arrives(gap: int, later: int, pinned: bool) -> None:
    index, offset, now, total = PartitionIndex(0), 0, 0, 15_000
    pins = set(range(0, 200_000, 997)) if pinned else set()
    for _ in range(total):
        offset, now = offset + gap, now + later
        index.append(offset, now)
        thin_if_full(index, pins)
        offset += 1
    assert len(index) <= MAX_SEGMENTS
    assert index.readable() == total
    for position in range(0, offset, 1_009):
        unread = index.unread(position)
        truth = total - position // (gap + 1)
        assert unread.records - unread.uncertain <= truth <= unread.records
        assert unread.uncertain <= max(2, (offset - position) // RATIO * 2)


def test_a_hundred_records_without_a_gap_in_one_instant_are_one_segment() -> None:
    index, _ = build([(0, 0)] * 100)
    assert len(index) == 1
