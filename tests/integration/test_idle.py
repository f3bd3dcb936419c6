"""Everything down for longer than a group's offsets live, in a minute: what was processed is not processed again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer
from confluent_kafka.admin import AdminClient, NewPartitions

from ops.embedded import EmbeddedKafka
from schemas.serde import Serde
from streams.broker import cluster_settings
from tests.chaos.test_runtime_kills import PARTITIONS, Workers, committed, topics
from tests.counting import IN, IN_TOO, OUT, STATE, TOPICS, case
from tests.services import KafkaService, RegistryService

GROUP = "vigia-counting"
#: The broker forgets offsets of an empty group after a minute, and looks every second.
FORGETFUL = {"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "1000"}


@dataclass(frozen=True)
class Sizes:
    partitions: int = PARTITIONS
    replication: int = 1


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaService]:
    with EmbeddedKafka(tmp_path_factory.mktemp("forgetful"), settings=FORGETFUL) as kafka:
        yield KafkaService(bootstrap_servers=kafka.bootstrap_servers, origin="embedded")


def until(what: Callable[[], bool], limit_s: float = 120.0) -> None:
    deadline = time.monotonic() + limit_s
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def offsets(kafka: KafkaService, admin: AdminClient) -> dict[tuple[str, int], int]:
    asked = [ConsumerGroupTopicPartitions(GROUP)]
    (answer,) = admin.list_consumer_group_offsets(asked).values()
    return {(at.topic, at.partition): at.offset for at in answer.result(30).topic_partitions if at.offset >= 0}


def publish(kafka: KafkaService, serde: Serde, count: int) -> dict[object, list[object]]:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random"})
    sent = {}
    for number in range(count):
        event = case(uuid4(), uuid4())
        topic = (IN, IN_TOO)[number % 2]
        producer.produce(topic, serde.encode(event, topic), key=str(event.case_id).encode())
        sent[event.case_id] = [event.event_id]
    assert producer.flush(30) == 0
    return sent


def sources(kafka: KafkaService, serde: Serde, sent: dict[object, list[object]]) -> Counter[object]:
    _, found = committed(serde, kafka, sent)  # type: ignore[arg-type]
    return Counter(event for events in found.values() for event in events)


def test_a_cluster_that_forgets_offsets_is_named(forgetful: KafkaService) -> None:
    admin = AdminClient({"bootstrap.servers": forgetful.bootstrap_servers})
    sizes = Sizes()
    found = cluster_settings.check(admin, forgetful.bootstrap_servers, sizes)
    assert [str(difference) for difference in found] == [
        "broker 1: offsets.retention.minutes is 1, should be 129600 or more"
    ]
    needed = cluster_settings.check(admin, forgetful.bootstrap_servers, replace(sizes, replication=3))
    serious = {(difference.topic, difference.what) for difference in needed if difference.serious}
    assert {
        ("broker 1", "offsets.topic.replication.factor"),
        ("broker 1", "transaction.state.log.replication.factor"),
        ("broker 1", "transaction.state.log.min.isr"),
    } <= serious


def test_offsets_that_expired_are_not_read_as_begin_at_the_beginning(
    forgetful: KafkaService, registry: RegistryService, tmp_path: Path
) -> None:
    serde = Serde(registry.url)
    serde.register_all(TOPICS)
    admin = AdminClient({"bootstrap.servers": forgetful.bootstrap_servers})
    with topics(forgetful):
        workers = Workers(1, forgetful, registry, tmp_path)
        before = publish(forgetful, serde, 40)
        assert set(sources(forgetful, serde, before).values()) == {1}
        until(lambda: len(offsets(forgetful, admin)) > PARTITIONS)
        assert workers.stop() == [0]
        until(lambda: not offsets(forgetful, admin))
        (tmp_path / "again").mkdir()
        workers = Workers(1, forgetful, registry, tmp_path / "again")
        try:
            until(workers.settled)
            known = offsets(forgetful, admin)
            after = publish(forgetful, serde, 8)
            counted = sources(forgetful, serde, {**before, **after})
        finally:
            codes = workers.stop()
    assert len(counted) == len(before) + len(after)
    assert set(counted.values()) == {1}, "what was processed before the offsets expired was processed again"
    assert sum(known.values()) >= len(before), "whoever looks at the group must see where it stands, also while idle"
    assert codes == [0]


def test_partitions_added_without_moving_the_state_are_refused_at_start_in_one_line(
    forgetful: KafkaService, registry: RegistryService, tmp_path: Path
) -> None:
    serde = Serde(registry.url)
    serde.register_all(TOPICS)
    admin = AdminClient({"bootstrap.servers": forgetful.bootstrap_servers})
    with topics(forgetful):
        workers = Workers(1, forgetful, registry, tmp_path)
        assert set(sources(forgetful, serde, publish(forgetful, serde, 12)).values()) == {1}
        assert workers.stop() == [0]
        names = (IN, IN_TOO, OUT, STATE, "vigia.audit", "vigia.dead-letters")
        for future in admin.create_partitions([NewPartitions(name, PARTITIONS + 2) for name in names]).values():
            future.result(30)
        until(lambda: {len(admin.list_topics().topics[name].partitions) for name in names} == {PARTITIONS + 2})
        (tmp_path / "again").mkdir()
        workers = Workers(1, forgetful, registry, tmp_path / "again")
        assert [process.wait(120) for process in workers.processes] == [75]
    said = f"the topics have {PARTITIONS + 2} partitions, and {STATE} was written under {PARTITIONS}".encode()
    assert workers.told(said) == 1
    assert workers.told(b"Traceback") == 0
