"""What a broker refuses for good fails its input and nothing else: nothing is lost, nothing doubled, people asked."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer, errors
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.envelope.dead_letter import PREFIX
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.events import AuditEntry, CaseEvent, GradingEvent, GradingKind, Lane
from schemas.serde import Serde
from streams import topics
from streams.broker.clients import stage_producer
from streams.runtime.outbox import Batch, Entry
from streams.runtime.records import Outgoing
from streams.runtime.sending import RefusedError, carry_out
from tests.counting import TOPICS, case
from tests.integration.refusing_stage import LARGE, TAKES
from tests.services import KafkaService, RegistryService

PARTITIONS = 4
PATIENCE_S = 120.0


def create(kafka: KafkaService, name: str, config: dict[str, str] | None = None, partitions: int = PARTITIONS) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    error = admin.create_topics([NewTopic(name, partitions, 1, config=config or {})])[name].exception(30)
    assert error is None or "already exists" in str(error), error


def committed(kafka: KafkaService, names: Sequence[str], enough: Callable[[list[Message]], bool]) -> list[Message]:
    """The committed records of these topics, once they are enough."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": "test-refused",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    counts = consumer.list_topics(timeout=30).topics
    consumer.assign(
        [TopicPartition(name, at, OFFSET_BEGINNING) for name in names for at in range(len(counts[name].partitions))]
    )
    found: list[Message] = []
    deadline = time.monotonic() + PATIENCE_S
    try:
        while not enough(found):
            assert time.monotonic() < deadline, f"{len(found)} records came: {Counter(each.topic() for each in found)}"
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                found.append(message)
        # And nothing more comes: a doubled record would come at once behind the first.
        while (message := consumer.poll(1.5)) is not None:
            found.append(message)
    finally:
        consumer.close()
    return found


def test_aiokafka_commits_a_transaction_without_the_record_that_was_refused(kafka: KafkaService, unique: str) -> None:
    """Contract: should this fail some day, aiokafka has been mended, and ours is a second guard."""
    small, other = f"{unique}small", f"{unique}other"
    create(kafka, small, {"max.message.bytes": "500"}, 1)
    create(kafka, other, None, 1)

    async def work() -> None:
        producer = stage_producer(kafka.bootstrap_servers, f"{unique}id", 2_000_000)
        await producer.start()
        try:
            await producer.begin_transaction()
            refused = await producer.send(small, b"x" * 5_000, key=b"k", partition=0)
            taken = await producer.send(other, b"y", key=b"k", partition=0)
            await producer.commit_transaction()
            assert taken.exception() is None
            assert isinstance(refused.exception(), errors.MessageSizeTooLargeError)
        finally:
            await producer.stop()

    asyncio.run(work())
    assert [each.value() for each in committed(kafka, [small, other], bool)] == [b"y"]


@pytest.mark.parametrize("stamp_ms", [None, int((time.time() + 7_200) * 1_000)], ids=["size", "time"])
def test_a_transaction_of_which_a_record_is_refused_is_not_committed(
    kafka: KafkaService, unique: str, stamp_ms: int | None
) -> None:
    small, other = f"{unique}small", f"{unique}other"
    create(kafka, small, {"max.message.bytes": "500"}, 1)
    create(kafka, other, {"message.timestamp.type": "LogAppendTime"}, 1)
    create(kafka, f"{unique}in", None, 1)
    large = b"x" if stamp_ms else b"x" * 5_000
    batch = Batch(
        (
            Entry(f"{unique}in", 7, (Outgoing(other, b"k", b"first", 0),)),
            Entry(f"{unique}in", 8, (Outgoing(other, b"k", b"second", 0), Outgoing(small, b"k", large, 0))),
            Entry(f"{unique}in", 9, (Outgoing(other, b"k", b"third", 0),)),
        )
    )

    async def work(new: AIOKafkaProducer, what: Batch, stamp: int | None) -> None:
        await new.start()
        try:
            await carry_out(new, what, 0, f"{unique}group", stamp)
        finally:
            await new.stop()

    with pytest.raises(RefusedError) as caught:
        asyncio.run(_with_producer(kafka, unique, lambda new: work(new, batch, stamp_ms)))
    assert caught.value.entries == {1}
    assert caught.value.certain
    assert caught.value.by_time == (stamp_ms is not None)
    rest = Batch((batch.entries[0], batch.entries[2]))
    asyncio.run(_with_producer(kafka, unique, lambda new: work(new, rest, None)))
    assert [each.value() for each in committed(kafka, [small, other], bool)] == [b"first", b"third"]


async def _with_producer(kafka: KafkaService, unique: str, work: Callable[[AIOKafkaProducer], Any]) -> None:
    await work(stage_producer(kafka.bootstrap_servers, f"{unique}id", 2_000_000))


@dataclass
class Bench:
    """Topics of a stage of its own, whose output topic takes little."""

    kafka: KafkaService
    registry: RegistryService
    prefix: str
    folder: Path

    def __post_init__(self) -> None:
        compacted = {"cleanup.policy": "compact"}
        name = self.prefix.rstrip(".")
        create(self.kafka, f"{self.prefix}in")
        create(self.kafka, f"{self.prefix}out", {"max.message.bytes": str(TAKES)})
        create(self.kafka, f"vigia.{name}.state", compacted)
        create(self.kafka, topics.AUDIT, compacted)
        create(self.kafka, topics.DEAD_LETTERS)
        create(self.kafka, topics.GRADINGS)
        self.serde = Serde(self.registry.url)
        self.serde.register_all([*TOPICS, (f"{self.prefix}out", AuditEntry), (topics.GRADINGS, GradingEvent)])
        self.log = self.folder / "worker.log"

    def publish(self, events: Sequence[CaseEvent]) -> None:
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers, **LIBRDKAFKA_PARTITIONER})
        name = f"{self.prefix}in"
        for event in events:
            producer.produce(name, self.serde.encode(event, "counting.in"), key=str(event.case_id).encode())
        assert producer.flush(30) == 0

    @contextmanager
    def worker(self, ahead_s: float = 0.0) -> Iterator[subprocess.Popen[bytes]]:
        module = "tests.integration.refusing_stage"
        services = [self.kafka.bootstrap_servers, self.registry.url]
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *services, self.prefix, str(ahead_s)], stdout=log, stderr=log
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(90)

    def outputs(self, count: int) -> list[AuditEntry]:
        """What the stage published, once there are `count`."""
        found = committed(self.kafka, [f"{self.prefix}out"], lambda got: len(got) >= count)
        return [self.serde.decode(each.value() or b"", each.topic() or "") for each in found]  # type: ignore[misc]

    def told(self, cases: set[UUID]) -> tuple[list[Message], list[GradingEvent], list[AuditEntry]]:
        """Dead letters, requests to people and audit entries about these cases, once each has all three."""
        names = [topics.DEAD_LETTERS, topics.GRADINGS, topics.AUDIT]
        keys = {str(each).encode() for each in cases}

        def about(found: list[Message], topic: str) -> list[Message]:
            return [each for each in found if each.topic() == topic and (each.key() or b"")[:36] in keys]

        found = committed(
            self.kafka,
            names,
            lambda got: all(len({(m.key() or b"")[:36] for m in about(got, n)}) == len(keys) for n in names),
        )
        gradings: Any = [
            self.serde.decode(each.value() or b"", each.topic() or "") for each in about(found, topics.GRADINGS)
        ]
        entries: Any = [
            self.serde.decode(each.value() or b"", each.topic() or "") for each in about(found, topics.AUDIT)
        ]
        return about(found, topics.DEAD_LETTERS), gradings, entries


@pytest.fixture
def bench(kafka: KafkaService, registry: RegistryService, unique: str, tmp_path: Path) -> Bench:
    return Bench(kafka, registry, unique, tmp_path)


def test_an_input_whose_output_is_refused_goes_to_people_and_all_around_it_is_exact(bench: Bench) -> None:
    ids = [uuid4() for _ in range(6)]
    bad = set(ids[:2])
    events = []
    for turn in range(5):
        for case_id in ids:
            producer = LARGE if case_id in bad and turn in (1, 3) else "test"
            events.append(case(case_id, uuid4(), producer, Lane.EMERGENCY))
    refused = [event for event in events if event.producer == LARGE]
    bench.publish(events)
    with bench.worker():
        outputs = bench.outputs(len(events) - len(refused))
        letters, gradings, entries = bench.told(bad)
        assert b"crashed" not in bench.log.read_bytes()
    published = Counter(entry.source_event_id for entry in outputs)
    assert published == {event.event_id: 1 for event in events if event.producer != LARGE}
    # A refused event has not been counted: what came after it was made from the state before it.
    counts = {case_id: [e.attributes["count"] for e in outputs if e.case_id == case_id] for case_id in ids}
    assert counts == {case_id: [str(1 + at) for at in range(3 if case_id in bad else 5)] for case_id in ids}
    assert {dict(each.headers() or ())[PREFIX + "reason"] for each in letters} == {b"refused"}
    assert {each.value() for each in letters} == {bench.serde.encode(event, "counting.in") for event in refused}
    assert Counter(each.source_event_id for each in gradings) == {event.event_id: 1 for event in refused}
    assert {each.kind for each in gradings} == {GradingKind.QUARANTINE}
    assert sum(entry.outcome == "dead_letter:refused" for entry in entries) == len(refused)


def test_a_refused_event_may_come_again_once_its_topic_takes_it(bench: Bench) -> None:
    event = case(uuid4(), uuid4(), LARGE, Lane.EMERGENCY)
    bench.publish([event])
    with bench.worker():
        bench.told({event.case_id})
        admin = AdminClient({"bootstrap.servers": bench.kafka.bootstrap_servers})
        from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

        larger = ConfigEntry("max.message.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, f"{bench.prefix}out", incremental_configs=[larger])
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(30)
        bench.publish([event])
        (output,) = bench.outputs(1)
    assert output.attributes["count"] == "1"


def test_a_worker_whose_clock_is_two_hours_ahead_loses_and_doubles_nothing(bench: Bench) -> None:
    events = [case(uuid4(), uuid4(), lane=Lane.EMERGENCY) for _ in range(40)]
    bench.publish(events)
    with bench.worker(ahead_s=7_200):
        outputs = bench.outputs(len(events))
        more = [case(uuid4(), uuid4(), lane=Lane.EMERGENCY) for _ in range(10)]
        bench.publish(more)
        outputs = bench.outputs(len(events) + len(more))
        log = bench.log.read_bytes()
    assert Counter(entry.source_event_id for entry in outputs) == {event.event_id: 1 for event in events + more}
    assert b"ahead of the broker's" in log
    assert b"dead letters" not in log
