"""Faust's aiokafka transport with our own parts in it: transactions, partition assignor, group coordinator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import aiokafka
from faust.transport.consumer import TransactionManager as FaustTransactionManager
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread as FaustConsumerThread
from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.transport.drivers.aiokafka import Transport as FaustTransport
from faust.types import TP
from mode import Service

from streams.runtime import coordinator, fetching
from streams.runtime.assignor import CopartitionedAssignor
from streams.runtime.strangers import Ends
from streams.runtime.transactions import Transactions

logger = logging.getLogger(__name__)

#: Looked at again after so long in any case, as Faust does.
FULL_WAIT_S = 1.0
#: Where all partitions are held back, they are looked at again after so long.
HELD_WAIT_S = 0.2


class ConsumerThread(FaustConsumerThread):  # type: ignore[misc]
    """The consumer thread, with our partition assignor."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        coordinator.install()
        fetching.install()
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

    def unread(self) -> tuple[dict[TP, int], bool]:
        """Where it reads, per partition, and whether records that may be read wait behind that anywhere.

        Nothing waits while partitions move: what lies there then waits for the group.
        """
        client = self._thread._consumer
        subscription = None if client is None else client._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if assignment is None or not assignment.active or not self.flow_active:
            return {}, False
        states = {tp: assignment.state_value(tp) for tp in assignment.tps}
        positions = {
            tp: state.position
            for tp, state in states.items()
            if state is not None and state.has_valid_position and tp not in self.app.breaker.held
        }
        return positions, any((states[tp].lso or 0) > position for tp, position in positions.items())

    def ends(self) -> dict[TP, Ends]:
        """Where each of its partitions ends, decided and written, as the last fetch told."""
        client = self._thread._consumer
        subscription = None if client is None else client._subscription.subscription
        assignment = None if subscription is None else subscription.assignment
        if assignment is None or not assignment.active:
            return {}
        states = {tp: assignment.state_value(tp) for tp in assignment.tps}
        return {
            tp: Ends(state.lso, state.highwater)
            for tp, state in states.items()
            if state is not None and state.lso is not None and state.highwater is not None
        }

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to the committed offsets; where the state topic knows of later ones, to those; else to the beginning.

        A group's offsets expire when everything was down for a week: what was judged then must not be judged again.
        They are committed anew at once, as whoever looks at the group (the lag) knows no other place.

        aiokafka leaves the position of such a partition where it is. What was fetched between the assignment and this
        call was refused by the outbox, which opens only now: without the seek it would never be read again.
        """
        committed: dict[TP, int] = dict(await super().seek_to_committed())
        later = {tp: kept for tp, offset in committed.items() if (kept := self._kept(tp)) > (offset or 0)}
        if later:
            logger.warning("the group's offsets are behind the state on %s partitions: going by the state", len(later))
            await self._thread.seek_wait(later)
            await self._thread.commit(later)
            committed.update(later)
        fresh = [tp for tp, offset in committed.items() if not offset or offset < 0]
        if fresh:
            await self._thread.seek_to_beginning(*fresh)
        await self.app.breaker.taken_over(committed)
        return committed

    def _kept(self, tp: TP) -> int:
        return self.app.positions.offset(tp.topic, tp.partition) or 0

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:
        """What can be read now, but for what is held back (`streams.runtime.breaker`): it is not even looked at."""
        held = self.app.breaker.held
        if held and active_partitions is not None:
            active_partitions = active_partitions - held
            if not active_partitions:
                # For aiokafka none means all.
                await asyncio.sleep(HELD_WAIT_S)
                return {}
        return await super()._getmany(active_partitions, timeout)


class TransactionManager(FaustTransactionManager):  # type: ignore[misc]
    """Hands what Faust calls at rebalances and commits to the app's `Transactions`; Faust makes it from its class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._transactions: Transactions = self.app.transactions

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Partitions go; Faust has waited for what was in flight."""
        self.app.pulse.taken_over = False
        await self.app.breaker.leaving()
        await self._transactions.release()

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP]) -> None:
        """Partitions come; Faust reads the committed offsets after this returns."""
        await self._transactions.take_over({tp.partition for tp in assigned}, self.app.consumer_generation_id)
        self.app.breaker.assigned()
        self.app.stage_loop.ask_about_state()
        self.app.pulse.taken_over = True

    async def commit(self, offsets: Mapping[TP, int], start_new_transaction: bool = True) -> bool:
        """Faust's trigger. What is committed is what the outbox saw completed, whatever Faust computed."""
        await self._transactions.flush()
        return True

    @Service.task  # type: ignore[untyped-decorator]
    async def _flusher(self) -> None:
        # Our own clock, because Faust stops triggering when its bookkeeping of acknowledgements has a hole.
        async for _ in self.itertimer(self.app.conf.broker_commit_interval, name="outbox"):
            await self._transactions.flush()
            if not self.app.rebalancing:
                self._transactions.check_fenced()

    async def flush(self) -> None:
        """Carry out everything the outbox holds."""
        await self._transactions.flush()

    async def on_stop(self) -> None:
        """The worker ends."""
        if not self.app.crashed:
            await self.app.breaker.leaving()
        await self._transactions.stop()


class Transport(FaustTransport):  # type: ignore[misc]
    """Selected by `StageApp._new_transport`."""

    Consumer: ClassVar[type[Consumer]] = Consumer
    TransactionManager: ClassVar[type[TransactionManager]] = TransactionManager
