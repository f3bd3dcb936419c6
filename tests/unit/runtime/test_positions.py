"""Positions in the state topic: what they say, and of which topic."""

from __future__ import annotations

import pytest

from streams.runtime.outbox import Batch, Entry
from streams.runtime.position_keeper import PartitionsChangedError, PositionKeeper
from streams.runtime.positions import Positions
from streams.runtime.records import Outgoing
from streams.runtime.stage import NoState
from streams.runtime.state import PartitionState

STATE = "vigia.any.state"
IDS = {"in": "id-1", "too": "id-2"}


def keeper() -> tuple[PositionKeeper, PartitionState[NoState]]:
    state = PartitionState(NoState())
    made = PositionKeeper({3: state}, STATE)
    made.topic_ids, made.partition_count = IDS, 4
    return made, state


def batch(topic: str | None, offset: int) -> Batch:
    return Batch((Entry(topic, offset, (Outgoing("out", b"k", b"v"),)),))


def restored(record: Outgoing) -> PositionKeeper:
    made, state = keeper()
    assert record.key is not None
    state.restore(record.key, record.value)
    return made


def test_every_transaction_ends_with_where_reading_goes_on_in_all_topics() -> None:
    made, _ = keeper()
    first = made.with_positions(3, batch("in", 6))
    assert [record.topic for record in first.records] == ["out", STATE]
    assert first.records[-1].partition == 3
    assert first.offsets == {"in": 7}
    made.committed(3, first)
    after = restored(made.with_positions(3, batch("too", 40)).records[-1])
    assert (after.offset("in", 3), after.offset("too", 3), after.offset("other", 3)) == (7, 41, None)


def test_what_was_not_committed_does_not_move_the_next_positions() -> None:
    made, _ = keeper()
    made.with_positions(3, batch("in", 6))
    assert made.offset("in", 3) is None


def test_records_that_come_later_than_their_input_move_nothing() -> None:
    made, _ = keeper()
    assert made.with_positions(3, batch(None, 6)).offsets == {}
    assert [record.topic for record in made.with_positions(3, batch(None, 6)).records] == ["out"]


def test_an_offset_of_a_topic_that_was_made_anew_means_nothing() -> None:
    made, _ = keeper()
    after = restored(made.with_positions(3, batch("in", 6)).records[-1])
    after.topic_ids = {"in": "another id"}
    assert after.offset("in", 3) is None


@pytest.mark.parametrize(
    "value",
    [
        b"", b"{", b"[]", b'{"offsets":{"in":7}}', b'{"partitions":"x","offsets":{}}', b"\xff", b"[" * 100_000,
        b'{"partitions":Infinity,"offsets":{}}', b'{"partitions":4,"offsets":{"in":["id",Infinity]}}',
    ],
    ids=lambda value: value[:40].decode("latin-1"),
)  # fmt: skip
def test_positions_that_cannot_be_read_leave_it_to_the_groups_offsets(value: bytes) -> None:
    state = PartitionState(NoState())
    state.restore(b"p", value)
    assert state.positions is None


def test_fields_of_a_newer_version_are_left_out() -> None:
    value = b'{"partitions":4,"offsets":{"in":["id-1",7,"more"]},"newer":1}'
    assert Positions.from_json(value).next_offset("in", IDS) == 7


def test_a_partition_that_was_added_while_the_worker_runs_is_refused() -> None:
    made, _ = keeper()
    made.refuse_others({0, 3})
    with pytest.raises(PartitionsChangedError, match="partitions were added to the 4"):
        made.refuse_others({4})
