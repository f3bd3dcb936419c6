"""A partition that was quiet for a week: its transactional id is forgotten, and that costs a reconnect, not a crash."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from ops.embedded import EmbeddedKafka
from schemas.events import Lane
from tests.counting import case
from tests.integration.test_refused import PATIENCE_S, Bench
from tests.services import KafkaService, RegistryService

#: A week is two seconds here, and the broker looks each second.
FORGETFUL = {
    "transactional.id.expiration.ms": "2000",
    "transaction.remove.expired.transaction.cleanup.interval.ms": "1000",
}


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaService]:
    with EmbeddedKafka(tmp_path_factory.mktemp("forgetful"), settings=FORGETFUL) as kafka:
        yield KafkaService(bootstrap_servers=kafka.bootstrap_servers, origin="embedded")


def wait_until_forgotten(kafka: KafkaService, transactional_ids: set[bytes]) -> None:
    """Until the coordinator has written that it knows these ids no more."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": "test", "enable.auto.commit": False})
    name = "__transaction_state"
    partitions = consumer.list_topics(name, timeout=30).topics[name].partitions
    consumer.assign([TopicPartition(name, number, OFFSET_BEGINNING) for number in partitions])
    known: dict[bytes, bool] = {}
    deadline = time.monotonic() + PATIENCE_S
    try:
        while any(known.get(each, True) for each in transactional_ids):
            assert time.monotonic() < deadline, known
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                # Two bytes of version and two of length stand before the id.
                known[(message.key() or b"")[4:]] = message.value() is not None
    finally:
        consumer.close()


def test_an_id_that_expired_costs_a_reconnect_and_nothing_is_lost_or_doubled(
    forgetful: KafkaService, registry: RegistryService, unique: str, tmp_path: Path
) -> None:
    bench = Bench(forgetful, registry, unique, tmp_path)
    events = [case(uuid4(), uuid4(), lane=Lane.EMERGENCY) for _ in range(8)]
    bench.publish(events)
    with bench.worker() as worker:
        bench.outputs(len(events))
        wait_until_forgotten(forgetful, {f"vigia-{unique.rstrip('.')}-{number}".encode() for number in range(4)})
        more = [case(uuid4(), uuid4(), lane=Lane.EMERGENCY) for _ in range(8)]
        bench.publish(more)
        outputs = bench.outputs(len(events) + len(more))
        log = bench.log.read_bytes()
        assert worker.poll() is None
    assert Counter(entry.source_event_id for entry in outputs) == {event.event_id: 1 for event in events + more}
    assert b"a new producer, after" in log, "no id had expired: the test shows nothing"
    assert b"crashed" not in log
