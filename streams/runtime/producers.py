"""The transactional producers of the partitions that a worker holds, one per partition."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from streams import metrics
from streams.runtime.hanging import HangingTransactionError
from streams.runtime.sending import TransactionalProducer

logger = logging.getLogger(__name__)

#: How long an open transaction of a former owner may take to end, and how often it is looked at.
HANGING_PATIENCE_S, HANGING_LOOK_S = 20.0, 0.3


class HangingTransactions(Protocol):
    """Finds and ends what Kafka left open of former owners (`streams.runtime.hanging`)."""

    async def look_before(self, partitions: Iterable[int]) -> None:
        """Note how the last owners' transactions stand; called before a producer is started, which ends them."""

    async def find(self, partitions: Iterable[int]) -> set[int]:
        """The partitions whose former owner left a transaction open."""

    async def end(self, producer: TransactionalProducer, partition: int) -> None:
        """End the open transaction of a partition; `producer` is its new owner's, and must be started anew after."""


class Producers:
    """Starts and stops them. To start one fences whoever had its partition, and aborts what that one left open."""

    def __init__(
        self,
        new_producer: Callable[[str], TransactionalProducer],
        hanging: HangingTransactions,
        *,
        group: str,
        stage_name: str,
    ) -> None:
        """`new_producer` makes one with a transactional id."""
        self._new_producer = new_producer
        self._hanging = hanging
        self._group = group
        self._stage_name = stage_name
        self._producers: dict[int, TransactionalProducer] = {}

    def __getitem__(self, partition: int) -> TransactionalProducer:
        return self._producers[partition]

    async def hold(self, partitions: set[int]) -> None:
        """Start those of these partitions, also where we had them, and stop all others.

        Raises HangingTransactionError where a transaction of a former owner stays open.
        """
        for partition in set(self._producers) - partitions:
            await self.stop(partition)
        await self._hanging.look_before(partitions)
        await asyncio.gather(*(self.start(partition) for partition in sorted(partitions)))
        await self._end_hanging(partitions)

    async def start(self, partition: int) -> None:
        """Start a new one: the old one may have been fenced by an owner in between."""
        await self.stop(partition)
        producer = self._new_producer(f"{self._group}-{partition}")
        await producer.start()
        self._producers[partition] = producer

    async def stop(self, partition: int) -> None:
        """Stop the partition's; one that is not there is no error."""
        producer = self._producers.pop(partition, None)
        if producer is not None:
            await producer.stop()

    async def stop_all(self) -> None:
        """Stop all of them."""
        for partition in list(self._producers):
            await self.stop(partition)

    async def _end_hanging(self, partitions: set[int]) -> None:
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
                await self.start(partition)
