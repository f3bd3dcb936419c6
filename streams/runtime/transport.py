"""Faust's aiokafka transport with the parts of ours in place: transaction manager and partition assignor."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import aiokafka
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread as FaustConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import Transport as FaustTransport
from faust.types import TP

from streams.runtime import coordinator
from streams.runtime.assignor import CopartitionedAssignor
from streams.runtime.transactions import TransactionManager

#: Looked at again after so long in any case, as Faust does.
FULL_WAIT_S = 1.0


class ConsumerThread(FaustConsumerThread):  # type: ignore[misc]
    """The consumer thread, with our partition assignor."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        coordinator.install()
        consumer = super()._create_worker_consumer(transport)
        # aiokafka reads this when the consumer starts and joins its group; Faust gives no setting for it.
        consumer._partition_assignment_strategy = [CopartitionedAssignor]
        return consumer


class Consumer(FaustConsumer):  # type: ignore[misc]
    """Faust's consumer over our thread."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._room = asyncio.Event()

    def on_buffer_drop(self, tp: TP) -> None:
        """The stage has taken most of what was buffered of a partition."""
        super().on_buffer_drop(tp)
        self._room.set()

    async def _wait_next_records(self, timeout: float) -> Any:
        """Go on as soon as there is room in a buffer again.

        When the buffers of all partitions are full, Faust sleeps for a second, however soon the stage has emptied them:
        under a backlog a worker stood still a third of its time.
        """
        self._room.clear()
        if self.flow_active and not self._get_active_partitions():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._room.wait(), FULL_WAIT_S)
        return await super()._wait_next_records(timeout)

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to the committed offsets; where nothing is committed yet, to the beginning.

        aiokafka leaves the position of such a partition where it is. What was fetched between the assignment and this
        call was refused by the outbox, which opens only now: without the seek it would never be read again.
        """
        committed: Mapping[TP, int] = await super().seek_to_committed()
        fresh = [tp for tp, offset in committed.items() if not offset or offset < 0]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)
        return committed


class Transport(FaustTransport):  # type: ignore[misc]
    """Selected by `StageApp._new_transport`."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    TransactionManager: ClassVar[type[TransactionManager]] = TransactionManager
