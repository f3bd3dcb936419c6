"""One transaction per partition: the outbox's records and the offsets they came from, together or not at all.

Faust's own manager picks an output's transaction by the *destination* partition and an offset's by the *input*
partition, so the two are not atomic, and it only logs fencing (faust-streaming#177, #323, #517). This one replaces it
behind the hook that Faust gives (`streams.runtime.transport.TransactionManager`); nothing here knows Faust.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

from aiokafka import TopicPartition
from aiokafka.errors import ProducerFenced

from streams import metrics
from streams.runtime.hanging import HangingTransactionError
from streams.runtime.outbox import Batch, Outbox

logger = logging.getLogger(__name__)

#: Inputs one transaction carries at most. A bound on the memory of a producer's accumulator and on how much work an
#: aborted transaction repeats; above a few hundred the cost of a transaction is already spread thin.
MAX_INPUTS = 500
#: And records: a tick after an outage raises hundreds of escalations. A transaction of many such took longer than its
#: timeout, was aborted, and was tried again in full.
MAX_RECORDS = 3_000

#: How long an open transaction of a former owner may take to end, and how often it is looked at.
HANGING_PATIENCE_S, HANGING_LOOK_S = 20.0, 0.3


class FencedForGoodError(RuntimeError):
    """Another process took over a partition that the group still assigns to this one."""


class TransactionalProducer(Protocol):
    """What is used of `aiokafka.AIOKafkaProducer`, one per partition."""

    async def start(self) -> None:
        """Connect, fence whoever has the same transactional id, and end the transaction it left open."""

    async def stop(self) -> None:
        """Disconnect; an open transaction is left to the next owner."""

    async def begin_transaction(self) -> None:
        """Begin; one transaction at a time. Raises ProducerFenced, like all that follow."""

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> Awaitable[object]:
        """Put a record on its way; what is returned ends when the broker has it."""

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        """Let the transaction commit these offsets of the consumer group."""

    async def commit_transaction(self) -> None:
        """Make it visible. Raises where a record of it could not be written."""


class HangingTransactions(Protocol):
    """Finds and ends what Kafka left open of former owners (`streams.runtime.hanging`)."""

    async def find(self, partitions: Iterable[int]) -> set[int]:
        """The partitions on which a transaction is open."""

    async def end(self, producer: TransactionalProducer, partition: int) -> None:
        """End the open transaction of a partition; `producer` is its new owner's, and must be started anew after."""


class Transactions:
    """Carries the outbox to Kafka, and takes partitions over and lets them go in the order that keeps this safe."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        stage_name: str,
        group: str,
        new_producer: Callable[[str], TransactionalProducer],
        hanging: HangingTransactions,
        restore: Callable[[set[int]], Awaitable[None]],
        before_release: Callable[[], Awaitable[None]],
        on_committed: Callable[[int, Batch], None],
        crash: Callable[[Exception], Awaitable[None]],
        fenced_patience_s: float,
    ) -> None:
        """`new_producer` makes a producer with a transactional id; `restore` reads the states of partitions.
        `before_release` lets the stage finish what it does beside its inputs; it still writes through the outbox.

        `crash` ends the process. `fenced_patience_s` is how long a fenced producer waits for the rebalance behind it.
        """
        self._outbox = outbox
        self._stage_name = stage_name
        self._group = group
        self._new_producer = new_producer
        self._hanging = hanging
        self._restore = restore
        self._before_release = before_release
        self._on_committed = on_committed
        self._crash = crash
        self._fenced_patience_s = fenced_patience_s
        self._producers: dict[int, TransactionalProducer] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._fenced_at: float | None = None

    async def take_over(self, partitions: set[int], generation: int) -> None:
        """Hold these partitions and no others: fence whoever had them, read their state, open the outbox for them.

        The committed offsets are read after this returns. The order is what makes it safe: once the old owner is fenced
        and its open transaction aborted, neither the offsets nor the state can change any more.
        """
        metrics.REBALANCES.labels(self._stage_name).inc()
        self._revoke_all()
        for partition in set(self._producers) - partitions:
            await self._stop_producer(partition)
        # Logged before and after: a takeover that hangs keeps the whole group waiting, and this shows at which step.
        logger.info("taking over partitions %s of generation %s", sorted(partitions), generation)
        started = time.perf_counter()
        await asyncio.gather(*(self._start_producer(partition) for partition in sorted(partitions)))
        await self._end_hanging(partitions)
        fenced = time.perf_counter()
        await self._restore(partitions)
        restored = time.perf_counter()
        for partition in sorted(partitions):
            self._outbox.assign(partition, generation)
        self._fenced_at = None
        metrics.ASSIGNED.labels(self._stage_name).set(len(partitions))
        logger.info(
            "holding partitions %s of generation %s: %.1f s to fence the last owner, %.1f s to read their state",
            *(sorted(partitions), generation, fenced - started, restored - fenced),
        )

    async def release(self) -> None:
        """Partitions go: carry out what is complete, then forget the rest.

        The group protocol is eager: every partition is revoked at every rebalance, and read again if it comes back.
        """
        await self._before_release()
        await self.flush()
        self._revoke_all()
        metrics.ASSIGNED.labels(self._stage_name).set(0)

    async def stop(self) -> None:
        """Last chance for what is complete; then the producers close."""
        await self._before_release()
        await self.flush()
        for partition in list(self._producers):
            await self._stop_producer(partition)

    async def flush(self) -> None:
        """Carry out everything the outbox holds. Does not return before it is committed."""
        await asyncio.gather(*(self._flush_partition(partition) for partition in self._outbox.partitions))

    def check_fenced(self) -> None:
        """Raises FencedForGoodError where a producer was fenced and no takeover followed; not during a rebalance.

        A takeover by another worker comes with a rebalance that reaches this one too. Where none does (a zombie that
        fenced this producer while it woke up), only a new start of this process gets the partition moving again.
        """
        if self._fenced_at is not None and time.monotonic() - self._fenced_at > self._fenced_patience_s:
            raise FencedForGoodError("fenced, and no rebalance followed: starting anew")

    async def _flush_partition(self, partition: int) -> None:
        async with self._locks.setdefault(partition, asyncio.Lock()):
            while (generation := self._outbox.generation(partition)) is not None:
                batch = self._outbox.take(partition, MAX_INPUTS, MAX_RECORDS)
                if batch is None:
                    return
                try:
                    await self._transact(partition, batch)
                except ProducerFenced:
                    await self._on_fenced(partition)
                    return
                except Exception as error:
                    # Nothing is known of the transaction's end; a new owner will abort or find it. The process ends,
                    # its supervisor starts another, and reading begins again at the committed offset. Whatever the
                    # error is: a worker that cannot commit must not go on as if it could.
                    metrics.ABORTED.labels(self._stage_name).inc()
                    logger.error("transaction on partition %s failed: %s", partition, type(error).__name__)
                    await self._crash(error)
                    return
                self._outbox.committed(partition, generation, batch)

    async def _transact(self, partition: int, batch: Batch) -> None:
        started = time.perf_counter()
        producer = self._producers[partition]
        await producer.begin_transaction()
        sent = [
            await producer.send(
                record.topic,
                value=record.value,
                key=record.key,
                partition=record.partition,
                headers=list(record.headers),
            )
            for record in batch.records
        ]
        offsets = {TopicPartition(topic, partition): offset for topic, offset in batch.offsets.items()}
        if offsets:
            await producer.send_offsets_to_transaction(offsets, self._group)
        await producer.commit_transaction()
        # A record that failed fails the commit; this fetches the errors, so that none is reported as never retrieved.
        await asyncio.gather(*sent)
        metrics.COMMITS.labels(self._stage_name).inc()
        metrics.TRANSACTION.labels(self._stage_name).observe(time.perf_counter() - started)
        self._on_committed(partition, batch)

    async def _on_fenced(self, partition: int) -> None:
        metrics.FENCED.labels(self._stage_name).inc()
        logger.warning("partition %s was taken over by another worker: dropping what it had not committed", partition)
        self._outbox.revoke(partition)
        self._fenced_at = self._fenced_at or time.monotonic()
        await self._stop_producer(partition)

    async def _end_hanging(self, partitions: set[int]) -> None:
        """End what Kafka left open of former owners. Raises HangingTransactionError."""
        deadline = time.monotonic() + HANGING_PATIENCE_S
        hanging = await self._hanging.find(partitions)
        while hanging:
            # What the new producer has ended just now may still be on its way to the followers.
            await asyncio.sleep(HANGING_LOOK_S)
            hanging = await self._hanging.find(hanging)
            if hanging and time.monotonic() > deadline:
                raise HangingTransactionError(f"a transaction stays open on partitions {sorted(hanging)}")
            for partition in hanging:
                logger.warning("partition %s: ending a transaction that the broker left open", partition)
                metrics.HANGING.labels(self._stage_name).inc()
                await self._hanging.end(self._producers[partition], partition)
                # A producer starts only when all markers of the last transaction are written.
                await self._start_producer(partition)

    async def _start_producer(self, partition: int) -> None:
        # Also for a partition that we had: its producer may have been fenced by an owner in between.
        await self._stop_producer(partition)
        producer = self._new_producer(f"{self._group}-{partition}")
        await producer.start()
        self._producers[partition] = producer

    async def _stop_producer(self, partition: int) -> None:
        producer = self._producers.pop(partition, None)
        if producer is not None:
            await producer.stop()

    def _revoke_all(self) -> None:
        for partition in self._outbox.partitions:
            self._outbox.revoke(partition)
