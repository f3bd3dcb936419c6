"""A committed transaction whose partition has no leader when its markers are sent: they are sent later.

Apache Kafka 4.3.0 to 4.4.0 take such a partition for deleted and skip its marker: what was committed is never readable.
Whoever changes the pinned release finds out here whether that one keeps what it commits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from aiokafka.client import CoordinationType
from confluent_kafka import Consumer, IsolationLevel, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from ops.embedded import EmbeddedKafka
from streams.broker.broker_version import line_of, loses_commits, metadata_levels
from streams.broker.clients import protocol_client

TOPIC, ID = "T", "lost-markers"
PLACE = TopicPartition(TOPIC, 0)
#: The coordinator tries again several times per second; in this time it meets the partition without a leader.
LEADERLESS_S = 4.0


def until(what: Callable[[], bool], limit_s: float = 90.0) -> None:
    deadline = time.monotonic() + limit_s
    while not _holds(what):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _holds(what: Callable[[], bool]) -> bool:
    try:
        return what()
    except KafkaException:
        return False


async def coordinator(bootstrap_servers: str) -> int:
    client = protocol_client(bootstrap_servers)
    try:
        await client.bootstrap()
        return int(await client.coordinator_lookup(CoordinationType.TRANSACTION, ID))
    finally:
        await client.close()


def test_the_pinned_broker_keeps_what_it_committed_on_a_partition_without_a_leader(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path / "kafka", brokers=3) as kafka:
        servers = kafka.bootstrap_servers
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        producer = Producer({"bootstrap.servers": servers, "transactional.id": ID, "log_level": 0})
        producer.init_transactions(60)
        victim = next(node for node in (1, 2, 3) if node != asyncio.run(coordinator(servers)))
        new = NewTopic(TOPIC, num_partitions=1, replica_assignment=[[victim]], config={"min.insync.replicas": "1"})
        admin.create_topics([new])[TOPIC].result(30)
        for value in (b"first", b"second"):
            producer.begin_transaction()
            producer.produce(TOPIC, value, partition=0)
            assert producer.flush(30) == 0
            if value == b"second":
                kafka.broker(victim).kill()
            producer.commit_transaction(60)
        until(lambda: admin.list_topics(TOPIC, timeout=5).topics[TOPIC].partitions[0].leader < 0)
        time.sleep(LEADERLESS_S)
        kafka.broker(victim).start()

        def end(isolation: IsolationLevel) -> int:
            asked = admin.list_offsets({PLACE: OffsetSpec.latest()}, isolation_level=isolation, request_timeout=5)
            return int(asked[PLACE].result(10).offset)

        until(lambda: end(IsolationLevel.READ_UNCOMMITTED) >= 3)
        until(lambda: end(IsolationLevel.READ_COMMITTED) == end(IsolationLevel.READ_UNCOMMITTED), 30.0)
        consumer = Consumer(
            {"bootstrap.servers": servers, "group.id": ID, "isolation.level": "read_committed", "log_level": 0}
        )
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        read = [consumer.poll(30) for _ in range(2)]
        consumer.close()
        assert [message and message.value() for message in read] == [b"first", b"second"]
        levels = asyncio.run(metadata_levels(servers))
        assert {line_of(level) for level in levels.values()} == {"4.2"}
        assert not any(loses_commits(level) for level in levels.values())
