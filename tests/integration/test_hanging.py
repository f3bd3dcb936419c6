"""Ending a transaction that a broker left open: it is found, and everything that its number writes to gets a marker."""

from __future__ import annotations

import asyncio
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ProducerPartition
from confluent_kafka import IsolationLevel, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from streams import topics
from streams.runtime.hanging import end_open, find_hanging
from tests.services import KafkaService

OFFSETS = "__consumer_offsets"


def ends(kafka: KafkaService, partitions: list[TopicPartition]) -> list[int]:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    asked = admin.list_offsets(
        {partition: OffsetSpec.latest() for partition in partitions}, isolation_level=IsolationLevel.READ_COMMITTED
    )
    return [answer.result(30).offset for answer in asked.values()]


def test_an_open_transaction_is_found_and_every_partition_of_its_number_gets_a_marker(kafka: KafkaService) -> None:
    state = f"vigia.{uuid4()}.state"
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    for name in (state, topics.INFERENCES):
        future = admin.create_topics([NewTopic(name, 2, 1)])[name]
        assert (error := future.exception(30)) is None or "already exists" in str(error)
    asyncio.run(_found_and_ended(kafka, state, f"group-{uuid4()}"))


async def _found_and_ended(kafka: KafkaService, state: str, group: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{group}-1")
    await producer.start()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(state, b"value", key=b"key", partition=1)
        await producer.send_offsets_to_transaction({ProducerPartition(topics.INFERENCES, 1): 7}, group)
        assert await find_hanging(kafka.bootstrap_servers, state, {0, 1}) == {1}
        await producer.commit_transaction()
        await producer.stop()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{group}-1")
        await producer.start()
        assert await find_hanging(kafka.bootstrap_servers, state, {0, 1}) == set()
        count = len(
            AdminClient({"bootstrap.servers": kafka.bootstrap_servers}).list_topics().topics[OFFSETS].partitions
        )
        marked = [TopicPartition(state, 1), TopicPartition(topics.INFERENCES, 1)]
        offsets = [TopicPartition(OFFSETS, number) for number in range(count)]
        before, offsets_before = ends(kafka, marked), sum(ends(kafka, offsets))
        await end_open(producer, kafka.bootstrap_servers, group, state, 1)
        # Markers are written after the commit is answered, and before the producer's next start is.
        await producer.stop()
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers, transactional_id=f"{group}-1")
        await producer.start()
        assert [now - then for now, then in zip(ends(kafka, marked), before, strict=True)] == [1, 1]
        assert sum(ends(kafka, offsets)) >= offsets_before + 2
    finally:
        await producer.stop()
