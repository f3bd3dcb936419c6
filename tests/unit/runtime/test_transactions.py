"""Transactions and the loop together, over a log of values: what is refused, lost or fenced costs nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import TopicPartition, errors
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope.dead_letter import POINTER, PREFIX
from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, Lane
from schemas.events.content import content_hash
from streams.runtime.hanging import HangingTransactionError
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Batch, Entry, Outbox
from streams.runtime.producers import Producers
from streams.runtime.records import InputProblem, Outgoing, Result
from streams.runtime.refusals import MOST_LOSSES, TRIES, Patience
from streams.runtime.seen import Seen
from streams.runtime.sending import ProducerLostError, RefusedError, TransactionalProducer
from streams.runtime.stage import Later
from streams.runtime.stamps import Stamps
from streams.runtime.state import PartitionState
from streams.runtime.transactions import FencedForGoodError, Transactions
from tests.counting import OUT, STATE, CountingStage, Counts, case
from tests.unit.runtime.memory_log import MemoryLog, Verdict
from tests.unit.runtime.test_loop import TextSerde

TOPIC, GENERATION, GROUP = "counting.in", 7, "vigia-counting"
NOW_MS = 1_764_000_000_000


class Asking(CountingStage):
    """Asks people by a record on a topic of its own."""

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        return Result()


class NothingHangs:
    async def look_before(self, partitions: Iterable[int]) -> None:
        return

    async def find(self, partitions: Iterable[int]) -> set[int]:
        return set()

    async def end(self, producer: TransactionalProducer, partition: int) -> None:
        raise AssertionError


class World:
    """A stage on the real loop, outbox and transactions; the log alone is of values."""

    def __init__(self, verdict: Verdict = lambda record, at: None, stage: CountingStage | None = None) -> None:
        self.log = MemoryLog(verdict)
        self.serde = TextSerde()
        self.stage = stage or Asking()
        self.outbox = Outbox()
        self.states: dict[int, PartitionState[Counts]] = {}
        self.crashes: list[Exception] = []
        self.offset = 0
        self.clock_s = NOW_MS / 1000
        self.loop = StageLoop(
            self.stage, self.serde, self.outbox, self.states, self._flush, restore_again=self._restore
        )
        self.transactions = Transactions(
            self.outbox,
            Producers(self.log.producer, NothingHangs(), group=GROUP, stage_name="counting"),
            stage_name="counting",
            group=GROUP,
            restore=self._restore,
            before_release=self.stage.on_revoked,
            committed_offsets=self._committed,
            on_committed=self.loop.on_committed,
            rework=self.loop,
            crash=self._crash,
            fenced_patience_s=0.0,
            stamps=Stamps(lambda: self.clock_s, lambda: 100.0),
        )

    async def _flush(self) -> None:
        await self.transactions.flush()

    async def _restore(self, partitions: set[int]) -> None:
        """State as it is in the log."""
        for partition in partitions:
            state = self.states[partition] = PartitionState(Counts())
            latest = {
                each.key or b"": each.value
                for each in self.log.records
                if each.topic == STATE and each.partition == partition
            }
            for key, value in latest.items():
                state.restore(key, value)
        self.stage.on_assigned({partition: state.own for partition, state in self.states.items()})

    async def _committed(self, partition: int) -> dict[str, int]:
        return {place.topic: offset for place, offset in self.log.offsets.items() if place.partition == partition}

    async def _crash(self, error: Exception) -> None:
        self.crashes.append(error)

    def message(self, event: CaseEvent, partition: int = 0) -> Any:
        self.offset += 1
        return SimpleNamespace(
            topic=TOPIC,
            partition=partition,
            offset=self.offset,
            timestamp=NOW_MS / 1000,
            key=str(event.case_id).encode(),
            value=self.serde.add(event),
            headers=[],
            generation_id=GENERATION,
        )

    def run(self, *batches: Sequence[Any], partitions: Iterable[int] = (0,)) -> None:
        async def work() -> None:
            await self.transactions.take_over(set(partitions), GENERATION)
            for batch in batches:
                await self.loop.process(batch)
            await self.transactions.flush()

        asyncio.run(work())

    def counted(self) -> list[bytes]:
        """Event ids of the outputs in the log, in order."""
        return [(each.value or b"") for each in self.log.records if each.topic == OUT]

    def letters(self) -> list[Outgoing]:
        return [each for each in self.log.records if each.topic == "vigia.dead-letters"]


def refusing(*refused: UUID, error: BaseException | None = None) -> Verdict:
    """Refuses the outputs of these events."""
    from schemas import ids

    values = {f"{OUT} {ids.derived_id(each, 'counting', '1')}".encode() for each in refused}

    def verdict(record: Outgoing, at: int | None) -> BaseException | None:
        return (error or errors.MessageSizeTooLargeError()) if record.value in values else None

    return verdict


def value_of(event: CaseEvent) -> bytes:
    from schemas import ids

    return f"{OUT} {ids.derived_id(event.event_id, 'counting', '1')}".encode()


def reason(letter: Outgoing) -> bytes | None:
    return dict(letter.headers)[PREFIX + "reason"]


@settings(max_examples=60, deadline=None)
@given(bad=st.sets(st.integers(0, 11)), cut=st.integers(1, 12), partitions=st.integers(1, 3))
def test_whichever_inputs_are_refused_each_is_a_dead_letter_once_and_all_others_are_out_in_order(
    bad: set[int], cut: int, partitions: int
) -> None:
    events = [case(uuid4(), uuid4()) for _ in range(12)]
    world = World(refusing(*(events[at].event_id for at in bad)))
    messages = [world.message(event, at % partitions) for at, event in enumerate(events)]
    world.run(messages[:cut], messages[cut:], partitions=range(partitions))
    assert world.crashes == []
    for partition in range(partitions):
        expected = [value_of(e) for at, e in enumerate(events) if at % partitions == partition and at not in bad]
        assert [each for each in world.counted() if each in set(expected)] == expected
    assert len(world.counted()) == len(events) - len(bad)
    assert {each.value for each in world.letters()} == {messages[at].value for at in bad}
    assert len(world.letters()) == len(bad)
    assert {reason(each) for each in world.letters()} <= {b"refused"}
    for partition in range(min(partitions, len(events))):
        last = max(each.offset for each in messages if each.partition == partition)
        assert world.log.offsets[TopicPartition(TOPIC, partition)] == last + 1


def test_what_follows_a_refused_input_is_made_from_the_state_before_it() -> None:
    case_id = uuid4()
    events = [case(case_id, uuid4()) for _ in range(3)]
    world = World(refusing(events[1].event_id))
    world.run([world.message(event) for event in events])
    counts = [each.value for each in world.log.records if each.topic == STATE and (each.key or b"")[:1] == b"s"]
    assert [int.from_bytes(each or b"", "big") for each in counts] == [1, 2]
    seen = {each.key for each in world.log.records if each.topic == STATE and (each.key or b"")[:1] == b"e"}
    assert seen == {b"e" + each.event_id.bytes for each in (events[0], events[2])}, "redriven, it were a duplicate"
    assert world.states[0].saw(events[1].event_id, content_hash(events[1])) is Seen.NEW


def test_a_refusal_that_passes_costs_a_pause_and_no_dead_letter() -> None:
    event = case(uuid4(), uuid4())
    answers: list[BaseException | None] = [errors.UnknownError(), errors.UnknownError(), None]

    def verdict(record: Outgoing, at: int | None) -> BaseException | None:
        return answers.pop(0) if record.topic == OUT else None

    world = World(verdict)
    world.run([world.message(event)])
    assert world.counted() == [value_of(event)]
    assert world.letters() == []


def test_a_refusal_that_may_pass_and_does_not_ends_in_the_dead_letters() -> None:
    event = case(uuid4(), uuid4())
    tried = 0

    def verdict(record: Outgoing, at: int | None) -> BaseException | None:
        nonlocal tried
        tried += record.topic == OUT
        return errors.PolicyViolationError() if record.topic == OUT else None

    world = World(verdict)
    world.run([world.message(event)])
    assert [reason(each) for each in world.letters()] == [b"refused"]
    assert tried == TRIES + 1
    assert world.crashes == []


def test_where_the_dead_letter_is_refused_too_a_pointer_is_written() -> None:
    event = case(uuid4(), uuid4())

    def verdict(record: Outgoing, at: int | None) -> BaseException | None:
        refused = record.topic == OUT or (record.topic == "vigia.dead-letters" and POINTER not in dict(record.headers))
        return errors.MessageSizeTooLargeError() if refused else None

    world = World(verdict)
    world.run([world.message(event), world.message(case(uuid4(), uuid4(), "poison"))])
    assert [POINTER in dict(each.headers) for each in world.letters()] == [True, True]
    assert world.crashes == []


def test_where_even_the_pointer_is_refused_the_process_ends_and_nothing_is_committed() -> None:
    world = World(lambda record, at: errors.MessageSizeTooLargeError())
    world.run([world.message(case(uuid4(), uuid4()))])
    assert [type(each).__name__ for each in world.crashes] == ["RefusedForGoodError"]
    assert world.log.records == []
    assert world.log.offsets == {}
    assert world.outbox.take(0, 10) is None, "a timer would carry it out again"


def test_a_record_that_the_producer_itself_will_not_take_fails_its_input_alone() -> None:
    events = [case(uuid4(), uuid4()) for _ in range(3)]
    world = World()
    send = world.serde.encode

    def encode(event: Any, topic: str) -> bytes:
        # A value that is none: aiokafka raises TypeError for it.
        value = send(event, topic)
        return value if event.source_event_id != events[1].event_id or topic != OUT else "no bytes"  # type: ignore[return-value]

    world.serde.encode = encode  # type: ignore[method-assign]

    def verdict(record: Outgoing, at: int | None) -> BaseException | None:
        return None if isinstance(record.value, bytes | None) else TypeError("no bytes")

    world.log.verdict = verdict
    world.run([world.message(event) for event in events])
    assert len(world.counted()) == 2
    assert len(world.letters()) == 1


def hours_ahead(record: Outgoing, at: int | None) -> BaseException | None:
    assert at is not None
    return errors.InvalidTimestampError() if at > NOW_MS + 3_600_000 else None


def test_a_worker_whose_clock_is_ahead_goes_by_the_times_that_the_broker_took() -> None:
    world = World(hours_ahead)
    world.clock_s += 7_200
    events = [case(uuid4(), uuid4()) for _ in range(5)]
    world.run([world.message(event) for event in events])
    assert len(world.counted()) == 5
    assert world.letters() == []
    assert set(world.log.stamps) == {NOW_MS}


def test_partitions_that_were_on_their_way_when_the_clock_was_corrected_are_tried_again() -> None:
    world = World(hours_ahead)
    world.clock_s += 7_200
    messages = [world.message(case(uuid4(), uuid4()), partition) for partition in range(4)]

    async def work() -> None:
        await world.transactions.take_over(set(range(4)), GENERATION)
        await world.loop.process(messages)
        # All four at once, stamped by the clock that is ahead.
        await world.transactions.flush()

    asyncio.run(work())
    assert world.letters() == []
    assert len([each for each in world.log.records if each.topic == OUT]) == 4
    assert world.crashes == []


def test_a_clock_that_agrees_with_the_broker_is_not_to_blame_for_a_refused_time() -> None:
    world = World(lambda record, at: errors.InvalidTimestampError() if record.topic == OUT else None)
    world.run([world.message(case(uuid4(), uuid4()))])
    assert [reason(each) for each in world.letters()] == [b"refused"]


@pytest.mark.parametrize("method", ["begin_transaction", "send", "send_offsets"])
@pytest.mark.parametrize(
    "error",
    [errors.InvalidProducerIdMapping(), errors.OutOfOrderSequenceNumber(), errors.KafkaError("the sender died")],
    ids=["expired", "sequence", "sender"],
)
def test_a_producer_that_is_lost_before_the_commit_is_replaced(method: str, error: Exception) -> None:
    world = World()
    world.log.failing = {method: [error, error]}
    event = case(uuid4(), uuid4())
    world.run([world.message(event)])
    assert world.counted() == [value_of(event)]
    assert world.crashes == []
    assert world.log.starts == 3


def test_a_producer_whose_sender_died_while_nothing_was_to_do_is_replaced() -> None:
    world = World()
    world.log.failing = {"begin_transaction": [AssertionError("Invalid state transition")]}
    world.run([world.message(case(uuid4(), uuid4()))])
    assert len(world.counted()) == 1


def test_producers_that_are_lost_again_and_again_end_the_process() -> None:
    world = World()
    world.log.failing = {"send_offsets": [errors.InvalidProducerIdMapping() for _ in range(MOST_LOSSES + 1)]}
    world.run([world.message(case(uuid4(), uuid4()))])
    assert [type(each) for each in world.crashes] == [ProducerLostError]
    assert world.log.records == []


@pytest.mark.parametrize("error", [errors.InvalidTxnState(), errors.KafkaError("nobody knows")], ids=str)
def test_a_commit_of_which_nobody_knows_the_end_is_never_asked_for_again(error: Exception) -> None:
    world = World()
    world.log.failing = {"commit_transaction": [error]}
    world.run([world.message(case(uuid4(), uuid4()))])
    assert world.crashes == [error]
    assert world.log.starts == 1
    asyncio.run(world.transactions.flush())
    assert world.log.records == [], "a timer carried the batch out again"


def test_what_nobody_may_write_ends_the_process_and_is_no_inputs_fault() -> None:
    world = World(lambda record, at: errors.TopicAuthorizationFailedError() if record.topic == OUT else None)
    world.run([world.message(case(uuid4(), uuid4()))])
    assert [type(each) for each in world.crashes] == [errors.TopicAuthorizationFailedError]
    assert world.log.records == []


def test_a_partition_that_another_worker_took_is_dropped_and_not_taken_back() -> None:
    world = World()
    messages = [world.message(case(uuid4(), uuid4())) for _ in range(2)]

    async def work() -> None:
        await world.transactions.take_over({0}, GENERATION)
        await world.loop.process(messages)
        world.log.epochs[f"{GROUP}-0"] += 1
        await world.transactions.flush()
        with pytest.raises(FencedForGoodError):
            world.transactions.check_fenced()

    asyncio.run(work())
    assert world.crashes == []
    assert world.log.records == []
    assert world.outbox.partitions == ()


def test_a_new_producer_gives_way_where_another_worker_has_committed_meanwhile() -> None:
    """A new producer fences whoever has the partition, without asking the group: what that one did must stand alone."""
    world = World()
    world.log.failing = {"send_offsets": [errors.InvalidProducerIdMapping()]}
    message = world.message(case(uuid4(), uuid4()))

    async def work() -> None:
        await world.transactions.take_over({0}, GENERATION)
        await world.loop.process([message])
        world.log.offsets[TopicPartition(TOPIC, 0)] = message.offset + 1
        await world.transactions.flush()

    asyncio.run(work())
    assert world.log.records == []
    assert world.outbox.partitions == ()


def test_partitions_that_go_take_with_them_what_is_complete_and_leave_what_is_refused() -> None:
    events = [case(uuid4(), uuid4()) for _ in range(2)]
    world = World(refusing(events[1].event_id))

    async def work() -> None:
        await world.transactions.take_over({0}, GENERATION)
        await world.loop.process([world.message(event) for event in events])
        await world.transactions.release()
        await world.transactions.take_over({0}, GENERATION + 1)
        await world.transactions.stop()

    asyncio.run(work())
    assert world.counted() == [value_of(events[0])]
    assert world.letters() == [], "its next owner finds out for itself"
    assert world.crashes == []


class Answered(Asking):
    """Says later what became of its inputs."""

    def attach(self, later: Later[CaseEvent]) -> None:
        self.later = later


def test_a_refused_answer_that_came_later_than_its_input_is_a_dead_letter_and_its_state_stands() -> None:
    events = [case(uuid4(), uuid4()) for _ in range(2)]
    stage = Answered()
    world = World(refusing(events[0].event_id), stage)
    first = world.message(case(uuid4(), uuid4()))

    async def work() -> None:
        from streams.runtime.decoding import raw_record
        from streams.runtime.state import own_change

        await world.transactions.take_over({0}, GENERATION)
        await world.loop.process([first])
        await world.transactions.flush()
        raw = raw_record(first)
        answer = await CountingStage().handle(
            SimpleNamespace(event=events[0], state=Counts(), hash="0" * 64, raw=raw)  # type: ignore[arg-type]
        )
        assert stage.later(raw, events[0], answer, (own_change(b"done", b"1"),))
        await world.transactions.flush()

    asyncio.run(work())
    assert [reason(each) for each in world.letters()] == [b"refused"]
    assert b"sdone" in {each.key for each in world.log.records if each.topic == STATE}
    assert world.crashes == []


def test_a_refused_note_of_the_runtimes_own_is_left_out_and_stops_nothing() -> None:
    def verdict(record: Outgoing, at: int | None) -> Exception | None:
        return errors.InvalidTimestampError() if record.key == b"note" else None

    world = World(verdict)
    message = world.message(case(uuid4(), uuid4()))

    async def work() -> None:
        await world.transactions.take_over({0}, GENERATION)
        assert world.outbox.append(0, GENERATION, [Outgoing(STATE, b"note", b"1", partition=0)])
        await world.loop.process([message])
        await world.transactions.flush()

    asyncio.run(work())
    assert world.crashes == []
    assert b"note" not in {each.key for each in world.log.records}
    assert world.log.offsets, "the input behind the note was not carried out"


def test_a_state_that_cannot_be_read_anew_ends_the_process() -> None:
    event = case(uuid4(), uuid4())
    world = World(refusing(event.event_id))

    async def fails(partitions: set[int]) -> None:
        raise RuntimeError("no answer")

    world.loop._restore_again = fails
    world.run([world.message(event)])
    assert [str(each) for each in world.crashes] == ["no answer"]
    assert world.log.records == []


def test_urgent_inputs_are_carried_out_without_waiting_for_the_timer() -> None:
    world = World()
    event = case(uuid4(), uuid4(), lane=Lane.EMERGENCY)

    async def work() -> None:
        await world.transactions.take_over({0}, GENERATION)
        await world.loop.process([world.message(event)])
        await asyncio.gather(*world.loop._flushing)
        assert world.counted() == [value_of(event)]

    asyncio.run(work())


class HangsFor:
    """Finds an open transaction so often."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.ended: list[int] = []

    async def look_before(self, partitions: Iterable[int]) -> None:
        return

    async def find(self, partitions: Iterable[int]) -> set[int]:
        self.times -= 1
        return set(partitions) if self.times >= 0 else set()

    async def end(self, producer: TransactionalProducer, partition: int) -> None:
        self.ended.append(partition)


def test_a_transaction_that_was_left_open_is_ended_before_a_partition_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.runtime.producers.HANGING_LOOK_S", 0.0)
    log, hanging = MemoryLog(), HangsFor(2)
    producers = Producers(log.producer, hanging, group=GROUP, stage_name="counting")
    asyncio.run(producers.hold({0, 1}))
    assert sorted(hanging.ended) == [0, 1]
    assert log.starts == 4
    monkeypatch.setattr("streams.runtime.producers.HANGING_PATIENCE_S", -1.0)
    with pytest.raises(HangingTransactionError):
        asyncio.run(Producers(log.producer, HangsFor(9), group=GROUP, stage_name="counting").hold({0}))


def test_suspects_go_alone_and_what_stands_before_them_together() -> None:
    outbox = Outbox()
    outbox.assign(0, 1)
    for offset in range(5):
        outbox.complete(0, 1, "in", offset, [Outgoing("out", b"k", b"v")])
    patience = Patience()
    batch = patience.next(outbox, 0)
    assert batch is not None
    assert len(batch.entries) == 5
    refused = RefusedError(frozenset({2}), errors.MessageSizeTooLargeError())
    assert not asyncio.run(patience.is_final(batch, refused))
    sizes = []
    while (batch := patience.next(outbox, 0)) is not None:
        sizes.append(batch.inputs)
        outbox.committed(0, 1, batch)
    assert sizes == [2, 1, 2]


def test_times_of_records_that_cannot_be_right_teach_nothing() -> None:
    stamps = Stamps(lambda: 2_000_000_000.0, lambda: 5.0)
    assert stamps.correct() is None
    raw = RawRecord(topic="t", partition=0, offset=0, timestamp_ms=-(10**15), key=None, value=None)
    stamps.saw(Batch((Entry("t", 0, (), raw), Entry("t", 1, ()))))
    assert stamps.correct() is None
    assert stamps.now() == 2_000_000_000_000
