"""The outbox against a model: whatever is completed, taken, committed or revoked, offsets and records stay together."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streams.runtime.outbox import Outbox
from streams.runtime.records import Outgoing


def record(name: str) -> Outgoing:
    return Outgoing("out", b"k", name.encode())


def test_records_come_out_in_the_order_of_completion_over_all_topics() -> None:
    outbox = Outbox()
    outbox.assign(3, generation=1)
    outbox.complete(3, 1, "b", 7, [record("first")])
    outbox.complete(3, 1, "a", 2, [record("second"), record("third")])
    batch = outbox.take(3, limit=10)
    assert batch is not None
    assert [item.value for item in batch.records] == [b"first", b"second", b"third"]
    assert batch.offsets == {"b": 8, "a": 3}


def test_a_transaction_that_fails_leaves_everything_in_place() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    outbox.complete(0, 1, "a", 5, [record("x")])
    assert outbox.take(0, limit=10) == outbox.take(0, limit=10)


def test_a_transaction_ends_before_the_input_that_would_make_it_too_large() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    for offset, count in enumerate([2, 2, 9, 1]):
        outbox.complete(0, 1, "a", offset, [record(f"{offset}.{each}") for each in range(count)])
    taken = []
    while (batch := outbox.take(0, limit=10, most_records=4)) is not None:
        taken.append((batch.inputs, len(batch.records), batch.offsets["a"]))
        outbox.committed(0, 1, batch)
    # One input is carried out whole, however large.
    assert taken == [(2, 4, 2), (1, 9, 3), (1, 1, 4)]


def test_an_input_without_records_still_moves_the_offset() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    outbox.complete(0, 1, "a", 5, [])
    batch = outbox.take(0, limit=10)
    assert batch is not None
    assert batch.offsets == {"a": 6}
    assert batch.records == ()


def test_an_input_of_an_earlier_generation_is_refused() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    outbox.assign(0, generation=2)
    assert not outbox.expects(0, 1, "a", 50)
    assert not outbox.complete(0, 1, "a", 50, [record("stale")])
    assert outbox.take(0, limit=10) is None


def test_an_input_delivered_again_in_the_same_assignment_is_refused_while_it_waits_and_after_its_commit() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    outbox.complete(0, 1, "a", 5, [record("x")])
    assert not outbox.expects(0, 1, "a", 5)
    batch = outbox.take(0, limit=10)
    assert batch is not None
    outbox.committed(0, 1, batch)
    assert not outbox.expects(0, 1, "a", 5)
    assert outbox.expects(0, 1, "a", 6)


def test_a_commit_that_ends_after_the_partition_changed_hands_forgets_nothing_of_the_new_assignment() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    outbox.complete(0, 1, "a", 5, [record("old")])
    batch = outbox.take(0, limit=10)
    assert batch is not None
    outbox.assign(0, generation=2)
    outbox.complete(0, 2, "a", 5, [record("new")])
    outbox.committed(0, 1, batch)
    kept = outbox.take(0, limit=10)
    assert kept is not None
    assert kept.records == (record("new"),)


def test_a_partition_that_is_not_ours_is_refused() -> None:
    outbox = Outbox()
    outbox.assign(0, generation=1)
    outbox.revoke(0)
    outbox.revoke(0)
    assert not outbox.complete(0, 1, "a", 5, [])
    assert outbox.partitions == ()


def test_records_that_come_later_than_their_input_are_carried_out_and_move_no_offset() -> None:
    outbox = Outbox()
    outbox.assign(0, 1)
    assert outbox.append(0, 1, [record("late")])
    assert outbox.complete(0, 1, "a", 7, [record("input")])
    assert outbox.append(0, 1, [record("later")])
    batch = outbox.take(0, 2)
    assert batch is not None
    assert [each.value for each in batch.records] == [b"late", b"input"]
    assert batch.offsets == {"a": 8}
    outbox.committed(0, 1, batch)
    last = outbox.take(0, 2)
    assert last is not None
    assert (last.offsets, last.inputs) == ({}, 1)
    assert not outbox.append(0, 2, [record("of another generation")])
    outbox.revoke(0)
    assert not outbox.append(0, 1, [record("of a partition that went")])


class OutboxMachine(RuleBasedStateMachine):
    """One partition, two topics, deliveries that repeat, transactions that fail, takeovers at any time.

    `log` is what transactions carried out (what a read_committed reader sees), `position` the committed offsets.
    """

    @initialize()
    def begin(self) -> None:
        self.outbox = Outbox()
        self.generation = 1
        self.outbox.assign(0, 1)
        self.position = {"a": 0, "b": 0}
        self.next = dict(self.position)
        self.log: list[bytes] = []

    @rule(topic=st.sampled_from("ab"), again=st.integers(0, 3))
    def deliver(self, topic: str, again: int) -> None:
        start = max(self.position[topic], self.next[topic] - again)
        for offset in range(start, self.next[topic] + 1):
            self.outbox.complete(0, self.generation, topic, offset, [record(f"{topic}{offset}")])
        self.next[topic] += 1

    @rule(limit=st.integers(1, 4), most_records=st.none() | st.integers(0, 3), succeeds=st.booleans())
    def transact(self, limit: int, most_records: int | None, succeeds: bool) -> None:
        batch = self.outbox.take(0, limit, most_records)
        if batch is not None and succeeds:
            self.log.extend(item.value or b"" for item in batch.records)
            self.position.update(batch.offsets)
            self.outbox.committed(0, self.generation, batch)

    @rule(topic=st.sampled_from("ab"))
    def deliver_stale(self, topic: str) -> None:
        assert not self.outbox.complete(0, self.generation - 1, topic, self.next[topic], [record("stale")])

    @rule()
    def rebalance(self) -> None:
        self.generation += 1
        self.outbox.assign(0, self.generation)
        self.next = dict(self.position)

    @invariant()
    def every_committed_input_is_in_the_log_once_and_in_order(self) -> None:
        if hasattr(self, "log"):
            for topic in "ab":
                seen = [int(value[1:]) for value in self.log if value[:1] == topic.encode()]
                assert seen == list(range(self.position[topic]))


OutboxMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
test_offsets_and_records_stay_together_whatever_happens = OutboxMachine.TestCase
