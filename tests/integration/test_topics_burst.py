"""A burst from a client with its own defaults is taken, and the largest record still fits the dead letters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from confluent_kafka import Producer

from streams import topics
from tests.services import KafkaService


def test_a_burst_with_librdkafkas_default_batches_is_not_refused(
    kafka: KafkaService, make_topic: Callable[..., str]
) -> None:
    config = topics.BY_NAME[topics.CASES_ROUTINE].config
    topic = make_topic("burst", partitions=1, config=config)
    refused: list[Any] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "linger.ms": 200, "compression.type": "none"})
    for _ in range(6_000):
        producer.produce(topic, bytes(500), key=uuid4().bytes, on_delivery=lambda error, _: refused.append(error))
    assert producer.flush(60) == 0
    assert [error for error in refused if error is not None] == []
    assert len(refused) == 6_000


def test_a_dead_letter_of_the_largest_record_fits(kafka: KafkaService, make_topic: Callable[..., str]) -> None:
    config = topics.BY_NAME[topics.DEAD_LETTERS].config
    topic = make_topic("letters", partitions=1, config=config)
    errors: list[Any] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "message.max.bytes": 2 * topics.MAX_BATCH_BYTES})
    headers = [("vigia.errors.message", b"x" * 300)] * 10
    value = bytes(topics.MAX_BATCH_BYTES - 100)
    producer.produce(topic, value, headers=headers, on_delivery=lambda error, _: errors.append(error))
    assert producer.flush(30) == 0
    assert errors == [None]
