"""Sends what is owed: every target has a queue and threads of its own, so a dead one delays nobody else's message.

Knows nothing of Kafka: it is handed what is owed, and says what each target answered.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import heappop, heappush
from itertools import count
from uuid import UUID

from schemas.events import ReviewPriority
from streams.stages.notification.ledger import Owed, target_id
from streams.stages.notification.message import Message
from streams.threads import Lent

logger = logging.getLogger(__name__)

#: Messages on their way to one target at a time. One that takes long to answer still gets the next emergency; more
#: would be an attack on a target that has just come back.
PER_TARGET = 2
#: Pauses between tries, in seconds. Together with the tries themselves about a minute: the next level of an emergency
#: comes after two.
PAUSES_S = (1.0, 2.0, 5.0, 10.0, 20.0)
#: How long a stop or a rebalance waits for messages on their way. Longer than a target that answers at all needs;
#: shorter than the ten seconds after which Docker kills, and far below the rebalance timeout.
DRAIN_WITHIN_S = 6.0

Deliver = Callable[[str, Message, UUID], bool]
#: Called with what is owed, the target's id, and whether it confirmed; not after `drain`.
Answered = Callable[[Owed, str, bool], None]
_URGENCY = {priority: rank for rank, priority in enumerate(ReviewPriority)}


@dataclass(frozen=True, slots=True)
class _Try:
    """One message for one target."""

    owed: Owed
    url: str
    text: Message

    @property
    def target(self) -> str:
        return target_id(self.url)

    @property
    def rank(self) -> tuple[int, datetime]:
        return _URGENCY[self.owed.event.review_priority], self.owed.event.raised_at


class _Lane:
    """The queue of one target, the most urgent message first."""

    def __init__(self, attempt: Callable[[_Try], Awaitable[None]], on_broken: Callable[[], None]) -> None:
        self.pool = ThreadPoolExecutor(PER_TARGET, thread_name_prefix="notify")
        self._attempt = attempt
        self._on_broken = on_broken
        self._waiting: list[tuple[tuple[int, datetime], int, _Try]] = []
        self._order = count()
        self.running: set[asyncio.Task[None]] = set()

    def push(self, what: _Try) -> None:
        heappush(self._waiting, (what.rank, next(self._order), what))
        self._pump()

    def clear(self) -> None:
        self._waiting.clear()

    def _pump(self) -> None:
        while self._waiting and len(self.running) < PER_TARGET:
            task = asyncio.ensure_future(self._attempt(heappop(self._waiting)[2]))
            self.running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            # Its message stays owed, and nobody here sends it again: whoever takes the partition over does.
            logger.error("the answer of a target could not be written down: %s", type(error).__name__)
            self._on_broken()
        self._pump()


class Courier:
    """All targets, and the messages on their way to them."""

    def __init__(self, deliver: Deliver, answered: Answered, pauses_s: Sequence[float] = PAUSES_S) -> None:
        """`deliver` blocks, and says whether the target confirmed; `answered` is told the end of each message."""
        self._deliver = deliver
        self._answered = answered
        self._pauses_s = pauses_s
        self._lanes: dict[str, _Lane] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._draining = False
        self._lent = Lent()
        #: Since when a message is owed that is on its way no more.
        self._broken: float | None = None

    @property
    def most_tries(self) -> int:
        """How often a message is tried before its target is given up."""
        return 1 + len(self._pauses_s)

    def longest_s(self) -> float:
        """Seconds that the oldest message has been on its way to a target which has not answered at all."""
        return self._lent.longest_s()

    def still_s(self) -> float:
        """Seconds since a message was lost sight of, or is on its way; 0 where nothing is."""
        return max(0.0 if self._broken is None else time.monotonic() - self._broken, self.longest_s())

    def send(self, owed: Owed, urls: Sequence[str], text: Message) -> None:
        """Send to each of these targets that has not confirmed; nothing while draining."""
        if self._draining:
            return
        for url in urls:
            if target_id(url) not in owed.confirmed:
                self._push(_Try(owed, url, text))

    async def drain(self, within_s: float = DRAIN_WITHIN_S) -> None:
        """Begin nothing more, and wait for what is on its way; its answers still come, for so long."""
        self._draining = True
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for lane in self._lanes.values():
            lane.clear()
        if running := [task for lane in self._lanes.values() for task in lane.running]:
            await asyncio.wait(running, timeout=within_s)
        # Whoever has not answered now is asked again by the next owner, with the same key.
        for lane in self._lanes.values():
            for task in lane.running:
                task.cancel()
            lane.pool.shutdown(wait=False, cancel_futures=True)
        self._lanes.clear()

    def resume(self) -> None:
        """After `drain`: take messages again. What was owed is sent anew."""
        self._draining = False
        self._broken = None

    def _lost_sight(self) -> None:
        if self._broken is None:
            self._broken = time.monotonic()

    def _push(self, what: _Try) -> None:
        lane = self._lanes.get(what.url)
        if lane is None:
            lane = self._lanes[what.url] = _Lane(self._attempt, self._lost_sight)
        lane.push(what)

    async def _attempt(self, what: _Try) -> None:
        owed, target = what.owed, what.target
        if self._draining:
            return
        if owed.stale(datetime.now(UTC)):
            self._answered(owed, target, False)
            return
        owed.tries[target] = tries = owed.tries.get(target, 0) + 1
        pool = self._lanes[what.url].pool
        call = self._lent.watch(pool.submit(self._deliver, what.url, what.text, owed.event.event_id))
        try:
            confirmed = await asyncio.wrap_future(call)
        except Exception:
            # A target's library may raise anything; its text may hold the URL, and with it a secret.
            confirmed = False
        if confirmed or tries >= self.most_tries:
            self._answered(owed, target, confirmed)
        elif not self._draining:
            self._later(self._pauses_s[tries - 1], what)

    def _later(self, pause_s: float, what: _Try) -> None:
        def again() -> None:
            self._timers.discard(timer)
            self._push(what)

        timer = asyncio.get_running_loop().call_later(pause_s, again)
        self._timers.add(timer)
