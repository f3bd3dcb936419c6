"""The stage loop on values: whatever happens to an input, it leaves as records or stays in the topic."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest

from schemas.envelope.dead_letter import PREFIX
from schemas.envelope.raw import RawRecord
from schemas.errors import RegistryUnavailableError, UndecodableError
from schemas.events import AuditEntry, CaseEvent, PipelineStage
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Outbox
from streams.runtime.records import Input, InputProblem, Outgoing, Result, StateChange
from streams.runtime.seen import Seen
from streams.runtime.stage import Later, NoState
from streams.runtime.state import PartitionState
from streams.topics import DEAD_LETTERS
from tests.counting import OUT, CountingStage, Counts, case

SECRET = ("Juana", "Pérez")
PARTITION, GENERATION, TOPIC = 0, 7, "counting.in"


class TextSerde:
    """Events as they are, under a text; the wire format is tested elsewhere."""

    def __init__(self) -> None:
        self.events: dict[bytes, Any] = {}
        self.failing: dict[bytes, Exception] = {}

    def add(self, event: Any) -> bytes:
        value = str(uuid4()).encode()
        self.events[value] = event
        return value

    def knows(self, value: bytes, topic: str) -> bool:
        return True

    def decode(self, value: bytes, topic: str) -> Any:
        if value in self.failing:
            raise self.failing[value]
        if value not in self.events:
            raise UndecodableError("not one of ours")
        return self.events[value]

    def encode(self, event: Any, topic: str) -> bytes:
        return f"{topic} {event.event_id}".encode()


class Bench:
    """A loop over a real outbox, with what the app would give it."""

    def __init__(self, stage: CountingStage | None = None, serde: TextSerde | None = None) -> None:
        self.serde = serde or TextSerde()
        self.outbox = Outbox()
        self.outbox.assign(PARTITION, GENERATION)
        self.flushes = 0
        self.stage = stage or CountingStage()
        self.states = {PARTITION: PartitionState(Counts())}
        self.loop = StageLoop(self.stage, self.serde, self.outbox, self.states, self._flush)
        self.offset = 0

    async def _flush(self) -> None:
        self.flushes += 1

    def message(self, value: bytes | None, offset: int | None = None) -> Any:
        if offset is None:
            offset, self.offset = self.offset, self.offset + 1
        return SimpleNamespace(
            topic=TOPIC,
            partition=PARTITION,
            offset=offset,
            timestamp=0.0,
            key=b"k",
            value=value,
            headers=[],
            generation_id=GENERATION,
        )

    def process(self, messages: Sequence[Any]) -> tuple[list[Outgoing], dict[str, int]]:
        async def work() -> None:
            await self.loop.process(messages)
            await asyncio.sleep(0)

        asyncio.run(work())
        batch = self.outbox.take(PARTITION, 1_000)
        return ([], {}) if batch is None else (list(batch.records), batch.offsets)


def outputs(records: Sequence[Outgoing]) -> list[Outgoing]:
    return [record for record in records if record.topic == OUT]


def test_every_output_has_its_audit_entry_and_its_state_in_the_same_place() -> None:
    bench = Bench()
    records, offsets = bench.process([bench.message(bench.serde.add(case(uuid4(), uuid4())))])
    assert [record.topic for record in records] == [OUT, "vigia.audit", "vigia.counting.state", "vigia.counting.state"]
    assert offsets == {TOPIC: 1}


@pytest.mark.parametrize("value", [None, b"", b"foreign"])
def test_an_undecodable_value_becomes_a_dead_letter_with_its_bytes_and_the_offset_moves(value: bytes | None) -> None:
    bench = Bench()
    good = bench.serde.add(case(uuid4(), uuid4()))
    records, offsets = bench.process([bench.message(value), bench.message(good)])
    letter = records[0]
    assert (letter.topic, letter.value) == ("vigia.dead-letters", value)
    assert dict(letter.headers)[PREFIX + "reason"] == b"undecodable"
    assert len(outputs(records)) == 1, "the event behind it was not processed"
    assert offsets == {TOPIC: 2}


def test_a_stage_that_raises_sends_only_that_event_to_the_dead_letters() -> None:
    bench = Bench()
    events = [case(uuid4(), uuid4()), case(uuid4(), uuid4(), "poison"), case(uuid4(), uuid4())]
    records, offsets = bench.process([bench.message(bench.serde.add(event)) for event in events])
    assert len(outputs(records)) == 2
    assert [record.topic for record in records].count("vigia.dead-letters") == 1
    assert offsets == {TOPIC: 3}


def test_an_error_whose_constructor_wants_more_than_a_message_is_no_trouble() -> None:
    class Odd(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(one, two)

    class OddStage(CountingStage):
        async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
            raise Odd(1, 2)

    bench = Bench(OddStage())
    records, _ = bench.process([bench.message(bench.serde.add(case(uuid4(), uuid4())))])
    assert dict(records[0].headers)[PREFIX + "reason"] == b"stage_failed"


def test_what_an_exception_says_is_told_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Telling(CountingStage):
        async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
            raise ValueError(" ".join(SECRET))

    bench = Bench(Telling())
    records, _ = bench.process([bench.message(bench.serde.add(case(uuid4(), uuid4())))])
    told = caplog.text + "".join(str(record) for record in records)
    assert not any(word in told for word in SECRET)


def test_an_event_that_comes_twice_is_processed_once_in_one_batch_and_across_batches() -> None:
    bench = Bench()
    value = bench.serde.add(case(uuid4(), uuid4()))
    records, _ = bench.process([bench.message(value), bench.message(value)])
    assert len(outputs(records)) == 1
    records, offsets = bench.process([bench.message(value)])
    assert len(outputs(records)) == 1
    assert offsets == {TOPIC: 3}


def test_an_event_from_the_dead_letters_is_no_duplicate_of_itself() -> None:
    bench = Bench()
    poison = case(uuid4(), uuid4(), "poison")
    bench.process([bench.message(bench.serde.add(poison))])
    mended = case(poison.case_id, poison.event_id)
    records, _ = bench.process([bench.message(bench.serde.add(mended))])
    assert len(outputs(records)) == 1


def test_an_offset_delivered_again_in_the_same_assignment_changes_nothing() -> None:
    bench = Bench()
    message = bench.message(bench.serde.add(case(uuid4(), uuid4())))
    first = bench.process([message, message])
    assert bench.process([message]) == first
    assert len(outputs(first[0])) == 1


def test_a_registry_that_is_away_ends_in_the_dead_letters_only_after_the_stage_has_lost_its_patience() -> None:
    class Impatient(CountingStage):
        patience_s = 0.2

    bench = Bench(Impatient())
    value = bench.serde.add(case(uuid4(), uuid4()))
    bench.serde.failing[value] = RegistryUnavailableError("away")
    bench.serde.knows = lambda value, topic: False  # type: ignore[method-assign]
    records, _ = bench.process([bench.message(value)])
    assert dict(records[0].headers)[PREFIX + "reason"] == b"registry_unavailable"


class Away(TextSerde):
    """A registry that is asked for every event, and does not answer until `release`."""

    def __init__(self, hang: bool = False) -> None:
        super().__init__()
        self.asked: list[bytes] = []
        self.release = threading.Event()
        self._hang = hang

    def knows(self, value: bytes, topic: str) -> bool:
        return False

    def decode(self, value: bytes, topic: str) -> Any:
        self.asked.append(value)
        if self._hang:
            self.release.wait(60)
        raise RegistryUnavailableError("away")


class Hurried(CountingStage):
    patience_s = 0.2


def test_the_registry_is_waited_for_once_per_batch_not_once_per_record() -> None:
    bench = Bench(Hurried(), Away())
    values = [bench.serde.add(case(uuid4(), uuid4())) for _ in range(8)]
    records, offsets = bench.process([bench.message(value) for value in values])
    assert [dict(each.headers)[PREFIX + "reason"] for each in records if each.topic == DEAD_LETTERS] == [
        b"registry_unavailable"
    ] * 8
    assert offsets == {TOPIC: 8}
    assert isinstance(bench.serde, Away)
    assert len(bench.serde.asked) < 2 * len(values), "the first record spent the patience; the others are tried once"


def test_a_registry_that_hangs_holds_a_batch_no_longer_than_its_patience() -> None:
    serde = Away(hang=True)
    bench = Bench(Hurried(), serde)
    value = serde.add(case(uuid4(), uuid4()))
    released_before: list[bool] = []

    async def work() -> None:
        await bench.loop.process([bench.message(value)])
        released_before.append(serde.release.is_set())
        serde.release.set()

    asyncio.run(work())
    assert released_before == [False]
    batch = bench.outbox.take(PARTITION, 10)
    assert batch is not None
    assert dict(batch.records[0].headers)[PREFIX + "reason"] == b"registry_unavailable"


def test_where_even_the_request_to_people_fails_nothing_is_completed() -> None:
    class Helpless(CountingStage):
        def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
            raise RuntimeError("no policy")

    bench = Bench(Helpless())
    with pytest.raises(RuntimeError):
        bench.process([bench.message(b"foreign")])
    assert bench.outbox.take(PARTITION, 10) is None


def test_a_problem_is_flushed_at_once_and_a_routine_event_is_not() -> None:
    bench = Bench()
    bench.process([bench.message(bench.serde.add(case(uuid4(), uuid4())))])
    assert bench.flushes == 0
    bench.process([bench.message(b"foreign")])
    assert bench.flushes == 1


def test_a_stage_without_state_of_its_own_restores_nothing() -> None:
    NoState().restore(b"key", b"value")


def test_an_audit_entry_needs_no_more_than_the_counting_stage_gives() -> None:
    entry = AuditEntry(
        event_id=UUID(int=1),
        case_id=UUID(int=2),
        stage=PipelineStage.INFERENCE,
        decided_at=datetime.now(UTC),
        topic=OUT,
        outcome="counted",
        output_hash="0" * 64,
    )
    assert entry.input_hash is None


class LateStage(CountingStage):
    """Completes its inputs at once, and says later what became of them."""

    def attach(self, later: Later[CaseEvent]) -> None:
        self.later = later
        self.committed: list[tuple[int, Mapping[str, int]]] = []

    async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
        self.record = record
        return Result(state=(StateChange(key=b"owed", value=b"1"),))

    def on_committed(self, partition: int, offsets: Mapping[str, int]) -> None:
        self.committed.append((partition, offsets))


def test_a_problem_that_comes_later_is_a_dead_letter_and_its_event_may_come_again() -> None:
    stage = LateStage()
    bench = Bench(stage)
    event = case(uuid4(), uuid4())
    records, offsets = bench.process([bench.message(bench.serde.add(event))])
    assert offsets == {TOPIC: 1}
    seen_key = b"e" + event.event_id.bytes
    assert [record.key for record in records] == [b"owed", seen_key], "the mark must be in the log with the state"
    batch = bench.outbox.take(PARTITION, 1_000)
    assert batch is not None
    bench.loop.on_committed(PARTITION, batch)
    bench.outbox.committed(PARTITION, GENERATION, batch)
    assert stage.committed == [(PARTITION, {TOPIC: 1})]

    done = StateChange(key=b"owed", value=None)
    problem = InputProblem(reason="notification_failed", detail="nobody answered")
    assert stage.later(stage.record.raw, event, Result(problem=problem), (done,))
    batch = bench.outbox.take(PARTITION, 1_000)
    assert batch is not None
    assert batch.offsets == {}
    assert batch.records[0].topic == "vigia.dead-letters"
    changed = {record.key: record.value for record in batch.records if record.topic == stage.state_topic}
    assert changed == {b"owed": None, seen_key: None}
    assert bench.states[PARTITION].saw(event.event_id, bytes(8)) is Seen.NEW


def test_a_result_for_a_partition_that_went_is_left_to_its_next_owner() -> None:
    stage = LateStage()
    bench = Bench(stage)
    event = case(uuid4(), uuid4())
    bench.process([bench.message(bench.serde.add(event))])
    bench.outbox.revoke(PARTITION)
    assert not stage.later(stage.record.raw, event, Result(), ())


def test_an_event_id_that_comes_again_for_another_case_is_a_dead_letter_and_no_repetition() -> None:
    bench = Bench()
    event_id = uuid4()
    first, other = case(uuid4(), event_id), case(uuid4(), event_id)
    again = replace(first, published_at=first.published_at + timedelta(minutes=1), producer="another tablet")
    messages = [bench.message(bench.serde.add(event)) for event in (first, other, again)]
    records, offsets = bench.process(messages)
    letters = [record for record in records if record.topic == "vigia.dead-letters"]
    assert [record.value for record in letters] == [messages[1].value]
    assert dict(letters[0].headers)[PREFIX + "reason"] == b"other_content"
    assert len(outputs(records)) == 1
    assert offsets == {TOPIC: 3}
    # The mark of the event that was processed stands: redriven, the other is refused again, the first left out.
    records, _ = bench.process([bench.message(messages[1].value), bench.message(messages[0].value)])
    assert [record.topic for record in records].count("vigia.dead-letters") == 2
    assert len(outputs(records)) == 1
