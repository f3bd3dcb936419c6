"""Remembered events: three answers, bounded by count and time, a few bytes each."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID, uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from streams.runtime.seen import Marks, Seen
from streams.runtime.stage import NoState
from streams.runtime.state import DROPPED_PER_INPUT, SEEN_FOR_S, SEEN_KEPT, PartitionState

ONE, TWO = b"content1", b"content2"


def test_an_event_is_new_or_the_same_or_has_other_content() -> None:
    state = PartitionState(NoState())
    event = uuid4()
    assert state.saw(event, ONE) is Seen.NEW
    change = state.mark_seen(event, ONE + b"more of the hash", 1_000)
    assert state.saw(event, ONE) is Seen.SAME
    assert state.saw(event, TWO) is Seen.OTHER
    again = PartitionState(NoState())
    again.restore(change.key, change.value)
    assert (again.saw(event, ONE), again.saw(event, TWO)) == (Seen.SAME, Seen.OTHER)
    state.forget(event)
    assert state.saw(event, ONE) is Seen.NEW


def test_a_mark_of_an_older_version_has_no_content_and_matches_any() -> None:
    state = PartitionState(NoState())
    event = uuid4()
    state.restore(b"e" + event.bytes, (1_000).to_bytes(8, "big"))
    assert state.saw(event, ONE) is Seen.SAME


def test_an_older_version_reads_the_time_of_a_mark_from_its_first_bytes() -> None:
    change = PartitionState(NoState()).mark_seen(uuid4(), ONE, 1_700_000_000)
    assert change.value is not None
    assert int.from_bytes(change.value[:8], "big") == 1_700_000_000


def test_what_outlived_is_dropped_while_running_and_removed_from_the_topic() -> None:
    state = PartitionState(NoState())
    old, young = [uuid4() for _ in range(10)], uuid4()
    for event in old:
        state.mark_seen(event, ONE, 1_000)
    now = 1_000 + SEEN_FOR_S + 1
    state.mark_seen(young, ONE, now)
    removed: list[bytes] = []
    while changes := state.drop_outlived(now):
        assert len(changes) <= DROPPED_PER_INPUT
        assert all(change.value is None for change in changes)
        removed += [change.key for change in changes]
    assert removed == [b"e" + event.bytes for event in old]
    assert all(state.saw(event, ONE) is Seen.NEW for event in old)
    assert state.saw(young, ONE) is Seen.SAME
    assert len(state.marks) == 1


def test_an_entry_of_a_kind_that_only_a_newer_version_knows_is_left_alone() -> None:
    PartitionState(NoState()).restore(b"z" + b"anything", b"anything")


def test_a_note_is_there_after_the_next_takeover() -> None:
    state = PartitionState(NoState())
    kept, gone = state.note(b"starts", b"3"), state.note(b"other", b"1")
    again = PartitionState(NoState())
    for change in (kept, gone, state.note(b"other", None)):
        again.restore(change.key, change.value)
    assert again.notes[b"starts"] == b"3"


@pytest.mark.no_cover
def test_a_mark_takes_at_most_40_bytes_and_the_bound_holds() -> None:
    marks = Marks()
    for number in range(200_000):
        marks.mark(sha256(number.to_bytes(8)).digest()[:16], 1 + number, ONE)
    assert len(marks) == 200_000
    assert marks.size_bytes / len(marks) <= 40
    assert SEEN_KEPT * 40 < 64 * 2**20, "a partition's marks must fit beside a model in a container's memory"
    while marks.drop(0, 150_000, 1_000):
        pass
    assert len(marks) == 150_000
    assert marks.size_bytes < 150_000 * 50, "what was dropped must leave the memory"
    assert marks.look(sha256((199_999).to_bytes(8)).digest()[:16], ONE) is Seen.SAME
    assert marks.look(sha256((1).to_bytes(8)).digest()[:16], ONE) is Seen.NEW


@pytest.mark.no_cover
@pytest.mark.parametrize("count", [65_534, 65_535, 65_536, 131_070, 131_071])
def test_blocks_meet_at_their_edges(count: int) -> None:
    marks = Marks()
    ids = [UUID(int=number + 1).bytes for number in range(count)]
    for event_id in ids:
        marks.mark(event_id, 5, ONE)
    assert len(marks) == count
    assert all(marks.look(event_id, ONE) is Seen.SAME for event_id in ids[::997])
    assert marks.look(ids[-1], TWO) is Seen.OTHER
    assert marks.drop(6, count, count) == ids
    assert len(marks) == 0


def test_an_id_that_is_restored_twice_counts_as_its_newest_and_goes_as_a_whole() -> None:
    marks = Marks()
    twice = UUID(int=1).bytes
    marks.restore(twice, 5, ONE)
    for number in range(70_000):
        marks.restore(UUID(int=number + 2).bytes, 6, ONE)
    marks.restore(twice, 7, TWO)
    assert marks.look(twice, TWO) is Seen.SAME
    assert twice not in marks.drop(6, 10**6, 10), "its newer mark is still needed in the topic"
    assert marks.look(twice, TWO) is Seen.SAME
    marks.forget(twice)
    assert marks.look(twice, TWO) is Seen.NEW
    marks.restore(twice, 8, ONE)
    assert marks.look(twice, ONE) is Seen.SAME


class AgainstADict(RuleBasedStateMachine):
    """Marks are what a plain dict of (time, content) would be."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.marks = Marks()
        self.plain: dict[bytes, tuple[int, bytes]] = {}

    @rule(target=ids, event_id=st.binary(min_size=16, max_size=16))
    def an_id(self, event_id: bytes) -> bytes:
        return event_id

    @rule(event_id=ids, at_s=st.integers(1, 100), content=st.sampled_from([ONE, TWO]))
    def mark(self, event_id: bytes, at_s: int, content: bytes) -> None:
        self.marks.mark(event_id, at_s, content)
        self.plain[event_id] = (at_s, content)

    @rule(event_id=ids)
    def forget(self, event_id: bytes) -> None:
        self.marks.forget(event_id)
        self.plain.pop(event_id, None)

    @rule(event_id=ids, content=st.sampled_from([ONE, TWO]))
    def look(self, event_id: bytes, content: bytes) -> None:
        known = self.plain.get(event_id)
        expected = Seen.NEW if known is None else Seen.SAME if known[1] == content else Seen.OTHER
        assert self.marks.look(event_id, content) is expected

    @rule(before_s=st.integers(0, 120), most=st.integers(0, 10), limit=st.integers(1, 5))
    def drop(self, before_s: int, most: int, limit: int) -> None:
        for event_id in self.marks.drop(before_s, most, limit):
            at_s, _ = self.plain[event_id]
            assert at_s < before_s or len(self.plain) > most
            del self.plain[event_id]

    @invariant()
    def as_many(self) -> None:
        assert len(self.marks) == len(self.plain)


AgainstADict.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
test_marks_against_a_dict = AgainstADict.TestCase
