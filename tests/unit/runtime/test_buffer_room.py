"""A worker whose buffers were full reads on as soon as there is room, not at the end of a second."""

from __future__ import annotations

import asyncio
import inspect
from types import SimpleNamespace
from typing import Any

from faust.transport.consumer import Consumer as FaustConsumer
from faust.types import TP

from streams.runtime.transport import Consumer

FULL = TP("vigia.cases.routine", 0)
RECORDS = {FULL: ["a record"]}


class Full(Consumer):  # type: ignore[misc]
    """A consumer of one partition whose buffer is full, without a broker: what it fetches is ours to say."""

    def __init__(self) -> None:
        self.flow_active = True
        self.app = SimpleNamespace(client_only=False, in_recovery=False)
        self.not_waiting_next_records = asyncio.Event()
        self._room = asyncio.Event()
        self._active_partitions: set[TP] = set()
        self._paused_partitions: set[TP] = set()
        self._buffered_partitions = {FULL}
        self.slept = 0

    async def sleep(self, n: Any, **_: Any) -> None:
        """Faust's way of waiting, counted."""
        self.slept += 1

    async def _getmany(self, active_partitions: set[TP], timeout: float) -> Any:
        return RECORDS if FULL in active_partitions else {}


def test_it_reads_on_when_the_stage_has_made_room() -> None:
    async def go() -> tuple[Any, int]:
        consumer = Full()
        reading = asyncio.ensure_future(consumer._wait_next_records(1.0))
        await asyncio.sleep(0)
        assert not reading.done(), "a full buffer takes nothing"
        consumer.on_buffer_drop(FULL)
        records, _ = await reading
        return records, consumer.slept

    assert asyncio.run(go()) == (RECORDS, 0)


def test_room_made_before_it_looks_is_seen() -> None:
    async def go() -> Any:
        consumer = Full()
        consumer.on_buffer_drop(FULL)
        records, _ = await consumer._wait_next_records(1.0)
        return records

    assert asyncio.run(go()) == RECORDS


def test_faust_itself_still_sleeps_there() -> None:
    # When an upgrade mends it, ours is to go.
    assert "await self.sleep(1)" in inspect.getsource(FaustConsumer._wait_next_records)
