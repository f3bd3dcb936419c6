"""What a broker left open of a transaction is found on every partition that a stage writes, and ended as it was meant.

The broker here does not verify that a partition was announced to its transaction (KIP-890), so a producer that keeps
one to itself leaves it without a marker: what Kafka's own faults do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka import TopicPartition as Announced
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from ops.embedded import EmbeddedKafka
from streams import topics
from streams.broker.open_transactions import LastTransaction, offsets_partition
from streams.runtime.hanging import Hanging, was_committed

TRUSTING = {"transaction.partition.verification.enable": "false"}
#: Elsewhere than the producer's own number: what a dead letter or a forwarded record is written to.
ELSEWHERE = (topics.DEAD_LETTERS, 0)
OWN = 1


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedKafka(tmp_path_factory.mktemp("trusting"), settings=TRUSTING) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        admin.create_topics([NewTopic(topics.DEAD_LETTERS, 2, 1)])[topics.DEAD_LETTERS].result(30)
        yield kafka.bootstrap_servers


class Stage:
    """A group of a test's own, its state topic, and producers of its partition 1."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap})
        self.group = f"group-{uuid4()}"
        self.state = f"vigia.{uuid4()}.state"
        self.admin.create_topics([NewTopic(self.state, 2, 1)])[self.state].result(30)
        self.hanging = Hanging(bootstrap, self.group, self.state)

    async def producer(self) -> AIOKafkaProducer:
        made = AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id=f"{self.group}-{OWN}")
        await made.start()
        return made

    async def taken_over(self) -> set[int]:
        """What a new owner finds, once it has ended it."""
        await self.hanging.look_before({0, OWN})
        producer = await self.producer()
        try:
            found = await self.hanging.find({0, OWN})
            if found:
                await self.hanging.end(producer, OWN)
                await producer.stop()
                # A producer starts only when all markers of the last transaction are written.
                producer = await self.producer()
                assert await self.hanging.find({0, OWN}) == set()
        finally:
            await producer.stop()
        return found

    def read(self, topic: str, partition: int) -> list[bytes | None]:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "reader",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        consumer.assign([TopicPartition(topic, partition, 0)])
        values = []
        while (message := consumer.poll(30)) is not None:
            if message.error() is not None:
                assert message.error().code() == KafkaError._PARTITION_EOF
                break
            values.append(message.value())
        consumer.close()
        return values

    def is_stuck(self, topic: str, partition: int) -> bool:
        place = TopicPartition(topic, partition)
        ends = [
            self.admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=level)[place].result(30).offset
            for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)
        ]
        return ends[0] < ends[1]

    def offsets(self) -> dict[tuple[str, int], int]:
        (answer,) = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group)]).values()
        return {(at.topic, at.partition): at.offset for at in answer.result(30).topic_partitions if at.offset >= 0}


def kept_to_itself(producer: AIOKafkaProducer, *places: tuple[str, int]) -> None:
    """Let the producer believe that the coordinator knows of these partitions."""
    for place in places:
        producer._txn_manager._txn_partitions.add(Announced(*place))


@pytest.mark.parametrize("committed", [True, False], ids=["committed", "aborted"])
def test_what_hangs_on_another_number_is_ended_as_its_transaction_was(bootstrap: str, committed: bool) -> None:
    stage, value = Stage(bootstrap), uuid4().bytes
    asyncio.run(_left_open(stage, value, committed))
    assert stage.is_stuck(*ELSEWHERE)
    assert asyncio.run(stage.taken_over()) == {OWN}
    assert not stage.is_stuck(*ELSEWHERE)
    assert (value in stage.read(*ELSEWHERE)) is committed
    assert stage.offsets() == {}, "ending a transaction must not leave an offset that nobody reads: its lag would page"


async def _left_open(stage: Stage, value: bytes, committed: bool) -> None:
    producer = await stage.producer()
    try:
        await producer.begin_transaction()
        kept_to_itself(producer, ELSEWHERE)
        await producer.send_and_wait(stage.state, b"state", partition=OWN)
        await producer.send_and_wait(ELSEWHERE[0], value, partition=ELSEWHERE[1])
        await (producer.commit_transaction() if committed else producer.abort_transaction())
    finally:
        await producer.stop()


def test_the_groups_offsets_are_ended_too(bootstrap: str) -> None:
    stage = Stage(bootstrap)
    asyncio.run(_offsets_left_open(stage))
    assert stage.offsets() == {}
    assert asyncio.run(stage.taken_over()) == {OWN}
    assert stage.offsets() == {(topics.DEAD_LETTERS, 1): 7}


async def _offsets_left_open(stage: Stage) -> None:
    producer = await stage.producer()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(stage.state, b"state", partition=OWN)
        # As if the coordinator knew of the group.
        producer._txn_manager.consumer_group_added(stage.group)
        await producer.send_offsets_to_transaction({Announced(topics.DEAD_LETTERS, 1): 7}, stage.group)
        await producer.commit_transaction()
    finally:
        await producer.stop()


def test_a_takeover_in_the_midst_of_a_transaction_finds_nothing_left_open(bootstrap: str) -> None:
    stage, value = Stage(bootstrap), uuid4().bytes
    asyncio.run(_in_the_midst(stage, value))
    assert value not in stage.read(*ELSEWHERE)


async def _in_the_midst(stage: Stage, value: bytes) -> None:
    producer = await stage.producer()
    try:
        await producer.begin_transaction()
        await producer.send_and_wait(ELSEWHERE[0], value, partition=ELSEWHERE[1])
        assert await stage.taken_over() == set()
    finally:
        await producer.stop()


def test_a_stage_that_never_ran_has_nothing_left_open(bootstrap: str) -> None:
    assert asyncio.run(Stage(bootstrap).taken_over()) == set()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("CompleteCommit", True),
        ("PrepareCommit", True),
        ("CompleteAbort", False),
        ("PrepareAbort", False),
        ("Empty", True),
    ],
)
def test_the_last_transaction_says_how_what_hangs_was_meant(state: str, expected: bool) -> None:
    assert was_committed(LastTransaction(producer_id=1, state=state), ELSEWHERE) is expected


def test_beside_an_ongoing_transaction_only_an_older_one_counts_as_committed() -> None:
    ongoing = LastTransaction(producer_id=1, state="Ongoing", places=frozenset({ELSEWHERE}))
    assert not was_committed(ongoing, ELSEWHERE)
    assert was_committed(ongoing, (topics.GRADINGS, 0))


@pytest.mark.parametrize(("group", "expected"), [("hello", 22), ("Aa", 12), ("polygenelubricants", 0), ("𝒳", 18)])
def test_the_partition_of_a_groups_offsets_is_that_of_javas_hash(group: str, expected: int) -> None:
    assert offsets_partition(group, 50) == expected
