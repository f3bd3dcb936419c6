"""One transaction per partition: the outbox's records and the offsets they came from, together or not at all.

Faust's own manager picks an output's transaction by the *destination* partition and an offset's by the *input*
partition, so the two are not atomic, and it only logs fencing (faust-streaming#177, #323, #517). This one replaces it
behind the hook that Faust gives, `Transport.TransactionManager`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import ProducerFenced
from faust.transport.consumer import TransactionManager as FaustTransactionManager
from faust.types import TP
from mode import Service

from streams import metrics
from streams.runtime.hanging import HangingTransactionError, end_open, find_hanging
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

RestoreState = Callable[[set[int]], Awaitable[None]]


class FencedForGoodError(RuntimeError):
    """Another process took over a partition that the group still gives to us."""


class TransactionManager(FaustTransactionManager):  # type: ignore[misc]
    """Carries the outbox to Kafka. Faust calls `on_rebalance`, `on_partitions_revoked` and `commit`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.outbox: Outbox = self.app.outbox
        self._restore: RestoreState = self.app.restore_state
        self._producers: dict[int, AIOKafkaProducer] = {}
        self._locks: dict[int, asyncio.Lock] = {}
        self._fenced_at: float | None = None

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Partitions go: carry out what is complete, then forget the rest. Faust has waited for what was in flight."""
        await self.flush()
        # The group protocol is eager: every partition is revoked at every rebalance, and read again if it comes back.
        for partition in self.outbox.partitions:
            self.outbox.revoke(partition)
        metrics.ASSIGNED.labels(self.app.stage_name).set(0)

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]) -> None:
        """Partitions come: fence whoever had them, then read their state, then open the outbox for them.

        Faust reads the committed offsets after this returns. The order is what makes it safe: once the old owner is
        fenced and its open transaction aborted, neither the offsets nor the state can change any more.
        """
        metrics.REBALANCES.labels(self.app.stage_name).inc()
        generation: int = self.app.consumer_generation_id
        partitions = {tp.partition for tp in assigned}
        for partition in self.outbox.partitions:
            self.outbox.revoke(partition)
        for partition in set(self._producers) - partitions:
            await self._stop_producer(partition)
        # Said before and after: a takeover that hangs keeps the whole group waiting, and this tells at which step.
        logger.info("taking over partitions %s of generation %s", sorted(partitions), generation)
        started = time.perf_counter()
        await asyncio.gather(*(self._start_producer(partition) for partition in sorted(partitions)))
        await self._end_hanging(partitions)
        fenced = time.perf_counter()
        await self._restore(partitions)
        restored = time.perf_counter()
        for partition in sorted(partitions):
            self.outbox.assign(partition, generation)
        self._fenced_at = None
        metrics.ASSIGNED.labels(self.app.stage_name).set(len(partitions))
        logger.info(
            "holding partitions %s of generation %s: %.1f s to fence the last owner, %.1f s to read their state",
            *(sorted(partitions), generation, fenced - started, restored - fenced),
        )

    async def commit(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Faust's trigger. What is committed is what the outbox saw completed, whatever Faust computed."""
        await self.flush()
        return True

    @Service.task  # type: ignore[untyped-decorator]
    async def _flusher(self) -> None:
        # Our own clock, because Faust stops triggering when its bookkeeping of acknowledgements has a hole.
        interval = self.app.conf.broker_commit_interval
        async for _ in self.itertimer(interval, name="outbox"):
            await self.flush()
            self._give_up_when_fenced_for_good()

    async def flush(self) -> None:
        """Carry out everything the outbox holds. Does not return before it is committed."""
        partitions = self.outbox.partitions
        if partitions:
            await asyncio.gather(*(self._flush_partition(partition) for partition in partitions))

    async def _flush_partition(self, partition: int) -> None:
        async with self._locks.setdefault(partition, asyncio.Lock()):
            while (generation := self.outbox.generation(partition)) is not None:
                batch = self.outbox.take(partition, MAX_INPUTS, MAX_RECORDS)
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
                    metrics.ABORTED.labels(self.app.stage_name).inc()
                    logger.error("transaction on partition %s failed: %s", partition, type(error).__name__)
                    await self.app.crash(error)
                    return
                self.outbox.committed(partition, generation, batch)

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
        await producer.send_offsets_to_transaction(offsets, self.app.conf.id)
        await producer.commit_transaction()
        # A record that failed fails the commit; this fetches the errors, so that none is reported as never retrieved.
        await asyncio.gather(*sent)
        stage = self.app.stage_name
        metrics.COMMITS.labels(stage).inc()
        metrics.TRANSACTION.labels(stage).observe(time.perf_counter() - started)
        self.app.on_committed(partition, batch)

    async def _on_fenced(self, partition: int) -> None:
        metrics.FENCED.labels(self.app.stage_name).inc()
        logger.warning("partition %s was taken over by another worker: dropping what it had not committed", partition)
        self.outbox.revoke(partition)
        self._fenced_at = self._fenced_at or time.monotonic()
        await self._stop_producer(partition)

    def _give_up_when_fenced_for_good(self) -> None:
        # A takeover comes with a rebalance that reaches us too. Where none does (a zombie that fenced us while it
        # woke up), only a new start of this process gets the partition moving again.
        if self._fenced_at is not None and not self.app.rebalancing:
            limit = 2 * self.app.conf.broker_session_timeout
            if time.monotonic() - self._fenced_at > limit:
                raise FencedForGoodError("fenced, and no rebalance followed: starting anew")

    async def _start_producer(self, partition: int) -> None:
        # Also for a partition that we had: its producer may have been fenced by an owner in between.
        await self._stop_producer(partition)
        producer = self.app.new_transactional_producer(f"{self.app.conf.id}-{partition}")
        await producer.start()
        self._producers[partition] = producer

    async def _end_hanging(self, partitions: set[int]) -> None:
        """End what Kafka left open of former owners. Raises HangingTransactionError."""
        servers, group = self.app.bootstrap_servers, self.app.conf.id
        state_topic = self.app.stage.state_topic
        deadline = time.monotonic() + HANGING_PATIENCE_S
        hanging = await find_hanging(servers, state_topic, partitions)
        while hanging:
            # What the new producer has ended just now may still be on its way to the followers.
            await asyncio.sleep(HANGING_LOOK_S)
            hanging = await find_hanging(servers, state_topic, hanging)
            if hanging and time.monotonic() > deadline:
                raise HangingTransactionError(
                    f"a transaction stays open on partitions {sorted(hanging)} of {state_topic}"
                )
            for partition in hanging:
                logger.warning("partition %s: ending a transaction that the broker left open", partition)
                metrics.HANGING.labels(self.app.stage_name).inc()
                await end_open(self._producers[partition], servers, group, state_topic, partition)
                # A producer starts only when all markers of the last transaction are written.
                await self._start_producer(partition)

    async def _stop_producer(self, partition: int) -> None:
        producer = self._producers.pop(partition, None)
        if producer is not None:
            await producer.stop()

    async def on_stop(self) -> None:
        """Last chance for what is complete; then the producers close."""
        await self.flush()
        for partition in list(self._producers):
            await self._stop_producer(partition)

    async def flush_producer(self) -> None:
        """Unused: a stage never sends outside the outbox."""
