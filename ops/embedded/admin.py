"""Probes of an embedded cluster: whether all brokers serve, and typical work on which an AOT cache is trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

#: While a broker starts, refused connections are what we expect; librdkafka would print each to stderr.
SILENT = logging.getLogger("vigia.embedded.silent")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


@contextmanager
def cluster_is_complete(bootstrap_servers: str, brokers: int) -> Iterator[Callable[[], bool]]:
    """Yield a probe that returns True once the cluster has a controller and all of its brokers serve metadata."""
    client = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=SILENT)

    def complete() -> bool:
        try:
            metadata = client.list_topics(timeout=1.0)
        except KafkaException:
            return False
        return len(metadata.brokers) == brokers and metadata.controller_id >= 0

    yield complete


def exercise(bootstrap_servers: str) -> None:
    """Create a topic, write to it in transactions, read it in a consumer group: what a pipeline does with a broker."""
    topic = "vigia.training"
    admin = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=SILENT)
    admin.create_topics([NewTopic(topic, 4, config={"cleanup.policy": "compact"})])[topic].result(30)
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "transactional.id": topic, "compression.type": "lz4"}, logger=SILENT
    )
    producer.init_transactions(30)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        },
        logger=SILENT,
    )
    try:
        consumer.subscribe([topic])
        for number in range(20):
            producer.begin_transaction()
            producer.produce(topic, key=str(number), value=b"x" * 1_000)
            producer.commit_transaction(30)
        for _ in range(20):
            if consumer.poll(5.0) is None:
                return
        producer.begin_transaction()
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 30
        )
        producer.commit_transaction(30)
    finally:
        consumer.close()
