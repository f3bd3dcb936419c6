"""Time as an event: a tick goes to a partition when, and only when, a deadline there has passed.

The stage decides by the tick's time, never by a clock of its own, so a repeated or late tick changes nothing that has
already changed. Quiet partitions get no ticks: their log stays short and their lag at zero.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaException

from schemas.events import ReviewPriority, TickEvent
from schemas.serde import Serde
from streams import metrics, topics
from streams.broker import clients
from streams.broker.mending import MendingProducer
from streams.stages.escalation.state import EscalationState

logger = logging.getLogger(__name__)

#: How late a missed deadline may be noticed; the shortest deadline of the policy is minutes.
LOOK_EVERY_S = 0.5
#: A tick that was sent has this long to be consumed before another is sent for the same partition.
PATIENCE = timedelta(seconds=5)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


class Ticker:
    """Watches the deadlines of the partitions that this worker holds."""

    def __init__(self, bootstrap_servers: str, serde: Serde, clock: Clock = utc_now) -> None:
        self._producer = MendingProducer(lambda: clients.producer(bootstrap_servers, {"linger.ms": 0}))
        self._serde = serde
        self._clock = clock
        self._states: Mapping[int, EscalationState] = {}
        self._sent: dict[int, datetime] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Stop looking; a tick on its way is finished, or not: it does not matter which."""
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._producer.flush, 1.0)

    def watch(self, states: Mapping[int, EscalationState]) -> None:
        """Watch these partitions from now on, and no others; called at every assignment."""
        self._states = states
        self._sent.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except (KafkaException, BufferError) as error:
                logger.warning("tick not sent: %s", type(error).__name__)

    def look(self) -> list[int]:
        """Send a tick to each partition where something is due; returns those partitions."""
        now = self._clock()
        ticked = []
        for partition, state in self._states.items():
            due = state.first_due()
            sent = self._sent.get(partition)
            if due is not None and due <= now and (sent is None or self._worth_another(state, sent, due, now)):
                self._send(partition, now)
                ticked.append(partition)
        self._producer.poll(0)
        self._count()
        return ticked

    @staticmethod
    def _worth_another(state: EscalationState, sent: datetime, due: datetime, now: datetime) -> bool:
        # The last tick was taken up and something is still due: one tick raises at most so many escalations.
        taken_up = state.now is not None and state.now >= sent
        return taken_up or due > sent or now - sent >= PATIENCE

    def _send(self, partition: int, now: datetime) -> None:
        value = self._serde.encode(TickEvent(now=now), topics.TICKS)
        self._producer.produce(topics.TICKS, value, partition=partition, timestamp=int(now.timestamp() * 1000))
        self._sent[partition] = now

    def _count(self) -> None:
        counted = sum((state.counted for state in self._states.values()), Counter())
        for priority in ReviewPriority:
            if priority is not ReviewPriority.UNKNOWN:
                metrics.OPEN.labels(priority.value).set(counted[priority])
