"""State of the partitions that a worker holds: the stage's own, and the ids of events seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Generic
from uuid import UUID

from streams.runtime.records import StateChange, StateT
from streams.runtime.restore import read_state

#: First byte of a state topic's key: an event seen, or the stage's own entry.
SEEN, OWN = b"e", b"s"

#: A second copy of an event that comes later than this is processed again. Producers retry for minutes; a redriven
#: dead letter was never marked as seen. Seven days also cover a tablet that was offline over a long weekend.
SEEN_FOR_S = 7 * 24 * 3600


class PartitionState(Generic[StateT]):
    """State of one partition: `own` is the stage's, `seen` maps event ids to when they were processed."""

    __slots__ = ("own", "seen")

    def __init__(self, own: StateT) -> None:
        self.own = own
        self.seen: dict[bytes, int] = {}

    def restore(self, key: bytes, value: bytes | None, since: int) -> None:
        """Take over one entry of the state topic; entries older than `since` (epoch seconds) are left out."""
        kind, rest = key[:1], key[1:]
        if kind == SEEN:
            if value is not None and (at := int.from_bytes(value, "big")) >= since:
                self.seen[rest] = at
        elif kind == OWN and value is not None:
            self.own.restore(rest, value)

    def saw(self, event_id: UUID) -> bool:
        """True where an event with this id was processed already."""
        return event_id.bytes in self.seen

    def mark_seen(self, event_id: UUID, now_s: int) -> StateChange:
        """Remember the event; the change goes into the same transaction as its outputs."""
        self.seen[event_id.bytes] = now_s
        return StateChange(key=SEEN + event_id.bytes, value=now_s.to_bytes(8, "big"))

    def forget(self, event_id: UUID) -> None:
        """Take the event for one not seen; an id that is not there is no error."""
        self.seen.pop(event_id.bytes, None)

    def forget_written(self, event_id: UUID) -> StateChange:
        """Take an event for one not seen whose mark is in the state topic already; the change removes it there."""
        self.forget(event_id)
        return StateChange(key=SEEN + event_id.bytes, value=None)


def own_change(key: bytes, value: bytes | None) -> StateChange:
    """A change of the stage's own state."""
    return StateChange(key=OWN + key, value=value)


async def restore_partitions(
    bootstrap_servers: str, topic: str, partitions: set[int], new_state: Callable[[int], StateT]
) -> dict[int, PartitionState[StateT]]:
    """Fresh states of these partitions, read from the state topic in a thread."""
    since = int(time.time()) - SEEN_FOR_S

    def read() -> dict[int, PartitionState[StateT]]:
        latest: dict[int, dict[bytes, bytes | None]] = {partition: {} for partition in partitions}
        for partition, key, value in read_state(bootstrap_servers, topic, partitions):
            latest[partition][key] = value
        states = {partition: PartitionState(new_state(partition)) for partition in partitions}
        for partition, entries in latest.items():
            for key, value in entries.items():
                states[partition].restore(key, value, since)
        return states

    return await asyncio.to_thread(read)
