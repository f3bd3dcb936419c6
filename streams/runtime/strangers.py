"""Ends a transaction that a stranger leaves open where a stage reads or writes, before it holds up those behind it.

Who reads what is committed reads up to the first open transaction, and a producer may keep one open for a quarter of an
hour: one record would hold up every emergency on its partition. The pipeline's own end within seconds, by their owners
or by whoever takes over (`hanging`), and are left alone. Any other that has been open for half of what the stage is
patient for is aborted, and its producer shut out; what it had written was never there.

What a stage writes is watched too: people read escalations in the same way, and so does the next owner its state.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.errors import IncompatibleBrokerVersion, KafkaError
from faust.types import TP

from streams import metrics
from streams.broker.cluster import Cluster, UnreadableError
from streams.broker.open_transactions import open_transactions
from streams.pipeline import STAGES

if TYPE_CHECKING:
    from streams.runtime.app import StageApp

logger = logging.getLogger(__name__)

#: Seconds between two looks at where the partitions stand; they cost nothing.
LOOK_S = 0.5
#: And between two questions to the broker, about what no fetch tells.
ASK_S = 2.0
#: Seconds before a broker is asked again that could not be asked, or did not allow it.
PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class Ends:
    """Of a partition, as the last fetch told: where what is decided ends, and where what is written ends."""

    stable: int
    written: int


@dataclass(frozen=True, slots=True)
class _Held:
    """A partition whose stable end has not moved: since when, and what had been written by then."""

    ends: Ends
    since: float


class HeldUp:
    """Finds the partitions whose stable end stays behind for too long."""

    def __init__(self, longest_s: float) -> None:
        """`longest_s`: seconds that a transaction may hold up what follows it."""
        self._longest_s = longest_s
        self._held: dict[TP, _Held] = {}

    def look(self, ends: Mapping[TP, Ends], now: float) -> dict[TP, Ends]:
        """Where a transaction has been open for too long: every one that began before these ends is as old."""
        held: dict[TP, _Held] = {}
        for tp, at in ends.items():
            if at.stable < at.written:
                before = self._held.get(tp)
                same = before is not None and before.ends.stable == at.stable
                held[tp] = before if before is not None and same else _Held(at, now)
        self._held = held
        return {tp: one.ends for tp, one in held.items() if now - one.since >= self._longest_s}


def is_ours(transactional_id: str, group: str) -> bool:
    """Whether an id is that of a stage's partition, or of this group's."""
    owner, _, number = transactional_id.rpartition("-")
    return number.isdecimal() and (owner == group or any(owner == stage.group for stage in STAGES))


class Strangers:
    """Watches the inputs of one worker; `watching` runs beside it."""

    def __init__(self, app: StageApp) -> None:
        self._app = app
        self._held_up = HeldUp(app.stage.patience_s / 2)
        stage = app.stage
        written = next((each.written for each in STAGES if each.group == stage.group), (stage.state_topic,))
        #: Written and not read: nothing fetched tells where these end.
        self._unread = tuple(topic for topic in written if topic not in stage.inputs)
        self._cluster = Cluster(app.bootstrap_servers)
        self._asked: dict[TP, Ends] = {}
        self._asked_at = 0.0

    async def watching(self) -> None:
        """End what strangers leave open. Runs until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                found = self._held_up.look({**self._app.ends(), **await self._ends_of_unread()}, time.monotonic())
                if not found:
                    continue
                if not await self._end(found):
                    # Seen too late, or not ours to end: no reason to ask twice a second.
                    await asyncio.sleep(ASK_S)
            except IncompatibleBrokerVersion:
                logger.warning("this broker cannot be asked for transactions left open (Kafka 3.0 and newer can)")
                return
            except (KafkaError, OSError, UnreadableError) as error:
                logger.warning("cannot see to transactions that are left open: %s", type(error).__name__)
                await asyncio.sleep(PAUSE_S)

    async def _ends_of_unread(self) -> Mapping[TP, Ends]:
        """Where what the stage writes ends, on its own partitions."""
        if time.monotonic() - self._asked_at >= ASK_S:
            places = [(topic, number) for topic in self._unread for number in self._app.states]
            stable = await asyncio.to_thread(self._cluster.committed_ends, places)
            written = await asyncio.to_thread(self._cluster.written_ends, places)
            self._asked = {TP(*place): Ends(end, max(end, written[place])) for place, end in stable.items()}
            self._asked_at = time.monotonic()
        return self._asked

    async def _end(self, found: Mapping[TP, Ends]) -> bool:
        """Whether anything was ended."""
        async with open_transactions(self._app.bootstrap_servers) as asked:
            await asked.places({tp.topic for tp in found})
            begun = await asked.begun((tp.topic, tp.partition) for tp in found)
            old: set[int] = set()
            for tp, ends in found.items():
                producers = begun.get((tp.topic, tp.partition), {})
                if ends.stable in producers.values():
                    old |= {producer for producer, start in producers.items() if start < ends.written}
            if not old:
                # What was fetched last is no longer so.
                return False
            named = await asked.named(old)
            strangers = sorted(name for name in named.values() if not is_ours(name, self._app.stage.group))
            for name in strangers:
                await asked.end(name)
                metrics.ENDED.labels(self._app.stage.name).inc()
            if strangers:
                # The name is a stranger's own text, and says nothing that its partition does not.
                places = ", ".join(sorted(f"{tp.topic}[{tp.partition}]" for tp in found))
                logger.error("%s transactions left open on %s were aborted", len(strangers), places)
            return bool(strangers)
