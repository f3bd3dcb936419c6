"""Which transactions are open, and how a transactional id's last one ended: asked of leaders and coordinators.

The admin clients of librdkafka and aiokafka do not know these questions (KIP-664, Kafka 3.0); `protocol` has them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiokafka import TopicPartition, errors
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.protocol.transaction import InitProducerIdRequest

from streams.broker.clients import protocol_client
from streams.broker.protocol import DescribeProducers, DescribeTransactions, ListTransactions
from streams.broker.read import Place

logger = logging.getLogger(__name__)

OFFSETS_TOPIC = "__consumer_offsets"
#: A takeover often comes just after a broker's death, when leaders and coordinators are still being found.
PATIENCE_S = 30.0
RETRY_PAUSE_S = 0.1
#: Kafka's name of a transaction that is open.
ONGOING = "Ongoing"
#: Until when a transaction of an id that is ended here would last, if it began one again with what it gets.
_TIMEOUT_MS = 20_000
#: aiokafka has no name for it.
_TRANSACTIONAL_ID_NOT_FOUND = 105


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTransaction:
    """What a coordinator knows of a transactional id."""

    producer_id: int
    #: Kafka's name of its state: Ongoing, PrepareCommit, CompleteCommit, PrepareAbort, CompleteAbort, Empty …
    state: str
    #: Partitions that an ongoing one has announced.
    places: frozenset[Place] = field(default_factory=frozenset)


class OpenTransactions:
    """Asks one cluster. Raises KafkaError of aiokafka; IncompatibleBrokerVersion where a broker is too old to know."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client

    async def last(self, transactional_id: str) -> LastTransaction | None:
        """How the id's last transaction stands; None where the coordinator does not know the id."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                node = await self._client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
                answer = await self._client.send(node, DescribeTransactions([transactional_id]))
                ((code, _, state, _, _, producer_id, _, topics, _),) = answer.transaction_states
                if code == _TRANSACTIONAL_ID_NOT_FOUND:
                    return None
                if code != errors.NoError.errno:
                    raise errors.for_code(code)
                places = frozenset((topic, partition) for topic, partitions, _ in topics for partition in partitions)
                return LastTransaction(producer_id=producer_id, state=state, places=places)
            except errors.IncompatibleBrokerVersion:
                raise
            except errors.KafkaError as error:
                await _again(error, deadline)

    async def places(self, names: Iterable[str]) -> list[Place]:
        """Every partition of these topics, of those that exist."""
        await self._client.set_topics(list(names))
        cluster = self._client.cluster
        return [(name, number) for name in names for number in sorted(cluster.partitions_for_topic(name) or ())]

    async def open(self, places: Iterable[Place]) -> dict[Place, set[int]]:
        """Ids of the producers that have a transaction open, by partition; a partition that we may not see is left out.

        The topics must have been asked for with `places`.
        """
        return {place: set(begun) for place, begun in (await self.begun(places)).items()}

    async def begun(self, places: Iterable[Place]) -> dict[Place, dict[int, int]]:
        """As `open`, with the offset at which each producer's transaction begins on the partition."""
        left, found = set(places), dict[Place, dict[int, int]]()
        deadline = time.monotonic() + PATIENCE_S
        while left:
            failed: errors.KafkaError = errors.LeaderNotAvailableError()
            for node, theirs in self._by_leader(left).items():
                try:
                    answered = await self._open_on(node, theirs)
                except errors.IncompatibleBrokerVersion:
                    raise
                except errors.KafkaError as error:
                    failed = error
                    continue
                found.update({place: open for place, open in answered.items() if open})
                left -= answered.keys()
            if left:
                await _again(failed, deadline)
                await self._client.force_metadata_update()
        return found

    def _by_leader(self, places: Iterable[Place]) -> dict[int, list[Place]]:
        led: defaultdict[int, list[Place]] = defaultdict(list)
        for topic, partition in places:
            leader = self._client.cluster.leader_for_partition(TopicPartition(topic, partition))
            if leader is not None and leader >= 0:
                led[leader].append((topic, partition))
        return led

    async def named(self, producer_ids: Iterable[int]) -> dict[int, str]:
        """The transactional id of each of these producers, of those that a coordinator has with a transaction open."""
        asked, found = list(producer_ids), dict[int, str]()
        for broker in self._client.cluster.brokers():
            answer = await self._client.send(broker.nodeId, ListTransactions(asked))
            found.update({producer: name for name, producer, state, _ in answer.transaction_states if state == ONGOING})
        return found

    async def end(self, transactional_id: str) -> None:
        """Abort what is open under an id, and shut out the producer that has left it open."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                node = await self._client.coordinator_lookup(CoordinationType.TRANSACTION, transactional_id)
                answer = await self._client.send(node, InitProducerIdRequest(transactional_id, _TIMEOUT_MS))
                if answer.error_code == errors.NoError.errno:
                    return
                raise errors.for_code(answer.error_code)
            except errors.TransactionalIdAuthorizationFailed:
                raise
            except errors.KafkaError as error:
                # While the markers of the abort are written, the id is "concurrent".
                await _again(error, deadline)

    async def _open_on(self, node: int, places: Iterable[Place]) -> dict[Place, dict[int, int]]:
        asked: defaultdict[str, list[int]] = defaultdict(list)
        for topic, partition in places:
            asked[topic].append(partition)
        answer = await self._client.send(node, DescribeProducers(asked))
        answered: dict[Place, dict[int, int]] = {}
        for topic, partitions, _ in answer.topics:
            for partition, code, _, producers, _ in partitions:
                error = errors.for_code(code)
                if error is errors.TopicAuthorizationFailedError:
                    logger.warning("not allowed to look for open transactions on %s (READ is missing)", topic)
                    answered[topic, partition] = {}
                elif error is errors.NoError:
                    answered[topic, partition] = {
                        producer[0]: producer[5] for producer in producers if producer[5] >= 0
                    }
        return answered


@asynccontextmanager
async def open_transactions(bootstrap_servers: str) -> AsyncIterator[OpenTransactions]:
    """Questions over a connection of their own."""
    client = protocol_client(bootstrap_servers)
    try:
        await client.bootstrap()
        yield OpenTransactions(client)
    finally:
        await client.close()


def offsets_partition(group: str, count: int) -> int:
    """The partition of `__consumer_offsets` that holds a group's: Java's hash of its name, `count` partitions."""
    hashed = 0
    for unit in memoryview(group.encode("utf-16-le")).cast("H"):
        hashed = (31 * hashed + unit) & 0xFFFFFFFF
    signed = hashed - 2**32 if hashed >= 2**31 else hashed
    return (0 if signed == -(2**31) else abs(signed)) % count


async def _again(error: errors.KafkaError, deadline: float) -> None:
    if time.monotonic() > deadline:
        raise error
    await asyncio.sleep(RETRY_PAUSE_S)
