"""Time as an event: a tick goes to a partition when, and only when, a deadline there has passed.

The stage decides by the tick's time, never by a clock of its own, so a repeated or late tick changes nothing that has
already changed. Quiet partitions get no ticks: their log stays short and their lag at zero.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaError, Message

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

    def __init__(
        self,
        bootstrap_servers: str,
        serde: Serde,
        clock: Clock = utc_now,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` decides what is due; `monotonic` (seconds) only how long the ticker has stood still."""
        self._producer = MendingProducer(lambda: clients.producer(bootstrap_servers, {"linger.ms": 0}))
        self._serde = serde
        self._clock = clock
        self._states: Mapping[int, EscalationState] = {}
        self._sent: dict[int, datetime] = {}
        self._monotonic = monotonic
        #: When it last looked at all deadlines and sent what was due; None before it starts.
        self._looked: float | None = None
        #: Since when a tick is on its way and no tick has been confirmed.
        self._unconfirmed: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._looked = self._monotonic()
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Stop looking; a tick on its way is finished, or not: it does not matter which."""
        self._looked = self._unconfirmed = None
        if self._task is not None:
            self._task.cancel()
        await asyncio.to_thread(self._producer.flush, 1.0)

    def watch(self, states: Mapping[int, EscalationState]) -> None:
        """Watch these partitions from now on, and no others; called at every assignment."""
        self._states = states
        self._sent.clear()
        self._unconfirmed = None

    def still_s(self) -> float:
        """Seconds that deadlines were not looked at, or that no tick was confirmed while one is on its way."""
        now = self._monotonic()
        return max((now - since for since in (self._looked, self._unconfirmed) if since is not None), default=0.0)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                self.look()
            except Exception as error:
                # Whatever it was (a registry that is away, a full buffer): this task drives every deadline and must not
                # end by it. That nothing gets through is told by `still_s`.
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
        if self._looked is not None:
            self._looked = self._monotonic()
        return ticked

    @staticmethod
    def _worth_another(state: EscalationState, sent: datetime, due: datetime, now: datetime) -> bool:
        # The last tick was taken up and something is still due: one tick raises at most so many escalations.
        taken_up = state.now is not None and state.now >= sent
        return taken_up or due > sent or now - sent >= PATIENCE

    def _send(self, partition: int, now: datetime) -> None:
        value = self._serde.encode(TickEvent(now=now), topics.TICKS)
        stamp = int(now.timestamp() * 1000)
        self._producer.produce(topics.TICKS, value, partition=partition, timestamp=stamp, on_delivery=self._reported)
        self._sent[partition] = now
        if self._unconfirmed is None:
            self._unconfirmed = self._monotonic()

    def _reported(self, error: KafkaError | None, _: Message) -> None:
        if error is None:
            self._unconfirmed = None
        else:
            logger.warning("tick not confirmed: %s", error.name())

    def _count(self) -> None:
        counted = sum((state.counted for state in self._states.values()), Counter())
        for priority in ReviewPriority:
            if priority is not ReviewPriority.UNKNOWN:
                metrics.OPEN.labels(priority.value).set(counted[priority])
