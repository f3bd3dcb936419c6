"""A transaction that Kafka left open although its coordinator calls it complete, and its end.

Where a broker dies between "prepared to commit" and the commit markers, Kafka (4.3.1, seen with one broker in about one
kill of thirty under load) may write the completion after its restart without the markers. What the transaction wrote,
offsets included, then is neither there nor gone: a new owner reads an older state and older offsets, takes the same
inputs again, and its first commit makes both copies visible.

The state partition of a number is written by that number's producer alone. Once that is started (and with it every
older transaction ended), nothing there may be open: if something is, an empty transaction over everything that the
number writes to sets the missing markers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as ProducerPartition
from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams.broker.clients import admin_client
from streams.pipeline import WRITTEN

TIMEOUT_S = 30.0


class HangingTransactionError(RuntimeError):
    """A transaction of a former owner stays open; what follows it cannot be read."""


async def find_hanging(bootstrap_servers: str, state_topic: str, numbers: Iterable[int]) -> set[int]:
    """The numbers on whose partition of the state topic a transaction is open. Raises KafkaException."""
    partitions = [TopicPartition(state_topic, number) for number in sorted(numbers)]
    return await asyncio.to_thread(_find, bootstrap_servers, partitions) if partitions else set()


def _find(bootstrap_servers: str, partitions: list[TopicPartition]) -> set[int]:
    admin = admin_client(bootstrap_servers)
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        try:
            # In this order: an end that moves meanwhile looks like an open transaction, never the other way round.
            stable = _ends(admin, partitions, IsolationLevel.READ_COMMITTED)
            written = _ends(admin, partitions, IsolationLevel.READ_UNCOMMITTED)
        except KafkaException:
            # A takeover often comes just after a broker's death, when leaders are still being found.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return {number for number, end in written.items() if stable[number] < end}


def _ends(admin: AdminClient, partitions: list[TopicPartition], isolation: IsolationLevel) -> dict[int, int]:
    asked = {partition: OffsetSpec.latest() for partition in partitions}
    answers = admin.list_offsets(asked, isolation_level=isolation, request_timeout=TIMEOUT_S)
    return {partition.partition: answer.result(TIMEOUT_S).offset for partition, answer in answers.items()}


async def end_open(
    producer: AIOKafkaProducer, bootstrap_servers: str, group: str, state_topic: str, number: int
) -> None:
    """Commit an empty transaction of the number's producer over everything that the number writes to.

    Commit, also where the open one was to be aborted: nobody has taken its inputs again yet, and what it wrote is a
    valid result of them.
    """
    existing = await asyncio.to_thread(_partition_counts, bootstrap_servers)
    await producer.begin_transaction()
    manager: Any = producer._txn_manager
    for name in (*WRITTEN, state_topic):
        # A partition gets a marker at the end if it was announced, whether or not something was written to it.
        if existing.get(name, 0) > number:
            manager.maybe_add_partition_to_txn(ProducerPartition(name, number))
    # The group's offsets get one only with an offset: that of a partition which no group reads.
    await producer.send_offsets_to_transaction({ProducerPartition(state_topic, number): 0}, group)
    await producer.commit_transaction()


def _partition_counts(bootstrap_servers: str) -> dict[str, int]:
    metadata = admin_client(bootstrap_servers).list_topics(timeout=TIMEOUT_S)
    return {name: len(topic.partitions) for name, topic in metadata.topics.items()}
