"""Total quarantine: for any record there are a dead letter, an audit entry and a request that a producer takes."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.envelope.dead_letter import BOUNDED, NULL_VALUE, POINTER, PREFIX, attempt_of, origin_of
from schemas.envelope.pointer import Pointer
from schemas.envelope.raw import RawRecord, plausible_time, unread
from schemas.events import AuditEntry, GradingEvent, Lane
from schemas.record import Record
from streams import topics
from streams.runtime.dead_letter import MAX_KEY_BYTES, MAX_VALUE_BYTES, dead_letter
from streams.runtime.encoding import ResultEncoder
from streams.runtime.fetching import Withheld
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Outbox
from streams.runtime.quarantine import quarantined, quarantined_pointer, stored
from streams.runtime.records import InputProblem, Outgoing, Result
from streams.runtime.state import PartitionState
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.policy.file import packaged_policy
from tests.counting import CountingStage, Counts
from tests.unit.runtime.test_loop import TextSerde

PROBLEM = InputProblem(reason="undecodable", detail="x")
LIMITS = {topic.name: int(topic.config["max.message.bytes"]) for topic in topics.ALL}
HUGE = st.sampled_from([MAX_VALUE_BYTES - 1, MAX_VALUE_BYTES, MAX_VALUE_BYTES + 1, 3_000_000])
CASE = "7b0f2e2e-6f0a-4b7a-9c1e-0a5a1f6f2d11"

keys = st.one_of(
    st.none(),
    st.binary(max_size=50),
    st.just(CASE.encode()),
    st.sampled_from([MAX_KEY_BYTES, MAX_KEY_BYTES + 1, 2_500_000]).map(lambda size: b"-" * size),
)
values = st.none() | st.binary(max_size=100) | HUGE.map(bytes)
names = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["vigia.attempt", f"{PREFIX}topic", f"{PREFIX}pointer", "N\\xff", "\ud800", ""]),
    st.just("n" * 70_000),
)
contents = st.one_of(
    st.none(), st.binary(max_size=30), st.just(b"9" * 5_000), st.just(b"x" * 1_500_000), st.just("٣".encode())
)
records = st.builds(
    RawRecord,
    topic=st.sampled_from([topics.CASES_EMERGENCY, topics.INFERENCES, topics.GRADINGS, topics.ACKNOWLEDGEMENTS]),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([-1, 0, -(10**14), 10**15])),
    key=keys,
    value=values,
    headers=st.one_of(
        st.lists(st.tuples(names, contents), max_size=5).map(tuple),
        st.just((("h", b"1"),) * 5_000),
    ),
)
not_held = st.builds(
    replace,
    records,
    value=st.none(),
    held=st.just(False),
    size=st.none() | st.integers(0, 2**40),
    sha256=st.none() | st.just("0" * 64),
)


class LocalEncoder:
    """Our own encoding without a registry: the id of the schema is nobody's."""

    def __init__(self) -> None:
        self.events: dict[bytes, Record] = {}

    def encode(self, event: Record, topic: str) -> bytes:
        from schemas import binary

        value = binary.write(event, b"\0" + b"\0\0\0\1")
        self.events[value] = event
        return value


def stage() -> GradingStage:
    policy = packaged_policy()
    return GradingStage(policy, Quarantine(policy))


STAGE = stage()


def taken(record: Outgoing) -> int:
    """Bytes of the batch that aiokafka makes of a record; raises where it makes none."""
    assert record.key is not None or record.value is not None
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=1,
        producer_id=1,
        producer_epoch=1,
        base_sequence=0,
        batch_size=16_384,
    )
    added = builder.append(0, timestamp=None, key=record.key, value=record.value, headers=list(record.headers))
    assert added is not None
    return len(builder.build())


def about(raw: RawRecord, *, least: bool) -> tuple[list[Outgoing], LocalEncoder]:
    encoder = LocalEncoder()
    results = ResultEncoder(encoder, STAGE.state_topic)
    results.partition_count = 4
    if least:
        return quarantined_pointer(STAGE, results, raw, PROBLEM), encoder
    return quarantined(STAGE, results, raw, None, PROBLEM), encoder


@settings(max_examples=300, deadline=None)
@given(raw=records | not_held, least=st.booleans())
def test_of_any_record_there_are_a_dead_letter_an_audit_entry_and_a_request_that_a_producer_takes(
    raw: RawRecord, least: bool
) -> None:
    found, encoder = about(raw, least=least)
    for record in found:
        assert taken(record) <= LIMITS[record.topic], f"{record.topic} refuses it"
        assert record.partition is None or 0 <= record.partition < 4
    (letter,) = [each for each in found if each.topic == topics.DEAD_LETTERS]
    (asked,) = [encoder.events[each.value or b""] for each in found if each.topic == topics.GRADINGS]
    entries = [encoder.events[each.value or b""] for each in found if each.topic == topics.AUDIT]
    assert isinstance(asked, GradingEvent)
    assert asked.escalations, "nobody is asked"
    assert asked.published_at <= datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
    (entry,) = [each for each in entries if isinstance(each, AuditEntry) and each.topic == topics.DEAD_LETTERS]
    assert entry.output_hash == hashlib.sha256(letter.value or b"").hexdigest()
    assert entry.input_hash == raw.value_hash
    # And who reads the letter finds the record it is about, under the ids that the entry has.
    origin = origin_of(letter.key, letter.value, dict(letter.headers), 0)
    assert origin is not None
    assert (origin.topic, origin.partition, origin.offset) == (raw.topic, raw.partition, raw.offset)
    pointed = POINTER in dict(letter.headers)
    assert pointed == (least or not raw.held or len(raw.value or b"") > MAX_VALUE_BYTES)
    if pointed:
        pointer = Pointer.from_bytes(letter.value)
        assert pointer is not None
        assert (pointer.size, pointer.sha256) == (raw.value_size, raw.value_hash)
        assert (origin.held, origin.size, origin.sha256) == (False, raw.value_size, raw.value_hash)
    else:
        assert (origin.held, origin.value) == (True, raw.value)


@settings(max_examples=100, deadline=None)
@given(raw=records)
def test_reading_a_header_as_a_number_is_total(raw: RawRecord) -> None:
    assert attempt_of(raw) >= 0


@given(timestamp_ms=st.integers(-(2**70), 2**70))
def test_a_time_is_the_records_own_or_now(timestamp_ms: int) -> None:
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert datetime(2020, 1, 1, tzinfo=UTC) <= plausible_time(timestamp_ms, now) <= datetime(2026, 5, 1, 1, tzinfo=UTC)
    assert plausible_time(1_764_000_000_000, now) == datetime.fromtimestamp(1_764_000_000, UTC)


@given(
    value=st.none()
    | st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda each: str(each).encode())
)
def test_what_is_no_pointer_is_none(value: bytes | None) -> None:
    pointer = Pointer.from_bytes(value)
    assert pointer is None or Pointer.from_bytes(pointer.to_bytes()) == pointer


def test_a_record_of_neither_key_nor_value_is_sent_and_read_as_what_it_was() -> None:
    raw = RawRecord(topic="t", partition=0, offset=1, timestamp_ms=0, key=None, value=None)
    letter = dead_letter(raw, "s", PROBLEM)
    assert (letter.key, letter.value) == (None, b"")
    assert NULL_VALUE in dict(letter.headers)
    origin = origin_of(letter.key, letter.value, dict(letter.headers), 0)
    assert origin is not None
    assert (origin.held, origin.value) == (True, None)


def test_what_is_left_out_of_a_copy_is_named() -> None:
    raw = RawRecord(
        topic="t", partition=0, offset=1, timestamp_ms=0, key=b"k" * 5_000, value=b"v", headers=(("h", b"x" * 70_000),)
    )
    letter = dead_letter(raw, "s", PROBLEM)
    assert letter.key is None
    assert dict(letter.headers)[BOUNDED] == b"key,headers"
    assert "h" not in dict(letter.headers)


def test_a_key_that_names_a_case_is_kept_by_the_least_that_is_said() -> None:
    raw = replace(unread(topics.CASES_EMERGENCY, 2, 41), key=CASE.encode())
    found, encoder = about(raw, least=True)
    (asked,) = [encoder.events[each.value or b""] for each in found if each.topic == topics.GRADINGS]
    assert asked.case_id == UUID(CASE)  # type: ignore[attr-defined]
    nameless, _ = about(unread(topics.CASES_EMERGENCY, 2, 41), least=True)
    assert len(nameless) == len(found)


class Store:
    def __init__(self, error: Exception | None = None) -> None:
        self.kept: list[bytes] = []
        self.error = error

    def put(self, data: bytes) -> str:
        if self.error is not None:
            raise self.error
        self.kept.append(data)
        return "file:///records/1"


class Asking(CountingStage):
    def on_problem(self, raw: RawRecord, event: Any, problem: InputProblem) -> Result:
        return Quarantine(packaged_policy()).ask(raw, event, problem, Lane.EMERGENCY)


def processed(content: bytes | None, store: Store | None, **fields: Any) -> list[Outgoing]:
    """What the loop makes of a message."""
    outbox = Outbox()
    outbox.assign(0, 1)

    async def flush() -> None:
        return

    loop = StageLoop(Asking(), TextSerde(), outbox, {0: PartitionState(Counts())}, flush, store=store)
    message = SimpleNamespace(
        topic="counting.in",
        partition=0,
        offset=3,
        timestamp=-(10**11),
        key=None,
        value=content,
        headers=None,
        generation_id=1,
    )
    message.__dict__.update(fields)
    asyncio.run(loop.process([message]))
    batch = outbox.take(0, 10)
    assert batch is not None
    assert batch.offsets == {"counting.in": 4}
    return list(batch.records)


def test_the_bytes_that_a_dead_letter_cannot_hold_are_kept_in_the_store() -> None:
    store, value = Store(), b"a" * 3_000_000
    letter = processed(value, store)[0]
    pointer = Pointer.from_bytes(letter.value)
    assert store.kept == [value]
    assert pointer == Pointer(
        topic="counting.in",
        partition=0,
        offset=3,
        size=3_000_000,
        sha256=hashlib.sha256(value).hexdigest(),
        stored="file:///records/1",
    )
    assert dict(letter.headers)[PREFIX + "reason"] == b"record_too_large"


@pytest.mark.parametrize("store", [None, Store(OSError("away"))], ids=["none", "away"])
def test_where_the_store_is_away_they_are_in_the_topic_only(store: Store | None) -> None:
    pointer = Pointer.from_bytes(processed(b"a" * 3_000_000, store)[0].value)
    assert pointer is not None
    assert (pointer.stored, pointer.size) == (None, 3_000_000)


def test_a_store_that_hangs_holds_up_nobody_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    monkeypatch.setattr("streams.runtime.quarantine.STORE_WITHIN_S", 0.05)
    held = threading.Event()

    class Hanging(Store):
        def put(self, data: bytes) -> str:
            held.wait(30)
            return "late"

    async def work() -> str | None:
        try:
            return await stored(Hanging(), replace(unread("t", 0, 0), held=True, value=b"x"))
        finally:
            held.set()

    assert asyncio.run(work()) is None


def test_a_record_that_was_not_inflated_is_a_pointer_unread() -> None:
    letter = processed(Withheld.of(500_000_000), Store())[0]
    pointer = Pointer.from_bytes(letter.value)
    assert pointer is not None
    assert (pointer.size, pointer.sha256, pointer.stored) == (500_000_000, None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"headers": [("vigia.attempt", None)]},
        {"headers": [("vigia.attempt", b"9" * 5_000)]},
        {"timestamp": -(10**15)},
        {"timestamp": None},
        {"key": None, "value": None},
        {"key": b"-" * 2_000_000},
        {"headers": {"h": None}},
    ],
    ids=str,
)
def test_the_reviews_records_become_dead_letters(fields: dict[str, Any]) -> None:
    records = processed(b"junk", None, **fields)
    assert [each.topic for each in records[:2]] == [topics.DEAD_LETTERS, topics.GRADINGS]
    for record in records:
        assert taken(record) <= LIMITS.get(record.topic, 1_000_000)


def test_a_stage_that_cannot_pass_an_event_on_asks_about_the_record_as_such() -> None:
    class Fussy(Asking):
        def on_problem(self, raw: RawRecord, event: Any, problem: InputProblem) -> Result:
            if event is not None:
                raise ValueError("too much of it")
            return super().on_problem(raw, event, problem)

    results = ResultEncoder(LocalEncoder(), "state")
    raw = RawRecord(topic="t", partition=0, offset=1, timestamp_ms=0, key=b"k", value=b"v")
    found = quarantined(Fussy(), results, raw, object(), PROBLEM)  # type: ignore[arg-type]
    assert [each.topic for each in found].count(topics.GRADINGS) == 1
