"""State of the partitions that a worker holds: the stage's own, ids of events seen, positions, and notes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic
from uuid import UUID

from streams.runtime.positions import Positions
from streams.runtime.records import StateChange, StateT
from streams.runtime.restore import StateEntry, read_state
from streams.runtime.seen import CONTENT_BYTES, Marks, Seen

logger = logging.getLogger(__name__)

#: First byte of a state topic's key: an event seen, the stage's own entry, how far it has read, a note of the runtime.
#: Entries of other kinds are those of a newer version, and stay as they are.
SEEN, OWN, POSITIONS, NOTE = b"e", b"s", b"p", b"n"

#: A second copy of an event that comes later than this is processed again. Producers retry for minutes; a redriven
#: dead letter was never marked as seen. Seven days also cover a tablet that was offline over a long weekend.
SEEN_FOR_S = 7 * 24 * 3600
#: Events remembered per partition at most, the oldest dropped first: 32 MB of memory, and a bound on how long a
#: takeover reads. At four partitions it is six events per second for a whole week.
SEEN_KEPT = 1_000_000
#: Outlived marks that one input removes at most: more than it adds, so that a surplus shrinks, and few enough not to
#: make a transaction long.
DROPPED_PER_INPUT = 4
#: Offsets at the end of a partition in which its newest positions are found. Behind them lie at most the marker of
#: their transaction, aborted ones, and what takeovers write.
_TAIL = 2_000


@dataclass(frozen=True, slots=True)
class UnreadableEntry:
    """An entry that the stage cannot read, and where it lies."""

    value: bytes
    offset: int
    timestamp_ms: int


class PartitionState(Generic[StateT]):
    """State of one partition: `own` is the stage's, the rest the runtime's."""

    __slots__ = ("marks", "notes", "own", "positions", "unreadable")

    def __init__(self, own: StateT) -> None:
        self.own = own
        #: Events that were processed.
        self.marks = Marks()
        #: How far the stage has read; None where no transaction has written it yet.
        self.positions: Positions | None = None
        #: Small records of the runtime's own, by name.
        self.notes: dict[bytes, bytes] = {}
        #: Entries of the stage's own that it cannot read, by key. They stay in the topic.
        self.unreadable: dict[bytes, UnreadableEntry] = {}

    def restore(self, key: bytes, value: bytes | None, offset: int = 0, timestamp_ms: int = 0) -> None:
        """Take over one entry of the state topic, in the order in which they were written."""
        kind, rest = key[:1], key[1:]
        if kind == SEEN and len(rest) == 16:
            if value is None:
                self.marks.forget(rest)
            else:
                # Without a content's hash where an older version wrote it.
                content = value[8 : 8 + CONTENT_BYTES].ljust(CONTENT_BYTES, b"\0")
                self.marks.restore(rest, int.from_bytes(value[:8], "big") & 0xFFFFFFFF, content)
        elif kind == OWN and value is not None:
            try:
                self.own.restore(rest, value)
            except Exception as error:
                # Whatever it is: one entry must not stop all others. The message may quote what it choked on.
                logger.error("an entry of the state at offset %s cannot be read: %s", offset, type(error).__name__)
                self.unreadable[key] = UnreadableEntry(value, offset, timestamp_ms)
        elif kind == POSITIONS and value is not None:
            self._restore_positions(value)
        elif kind == NOTE and value is not None:
            self.notes[rest] = value

    def saw(self, event_id: UUID, content: bytes) -> Seen:
        """What is known of an event; `content` begins with `CONTENT_BYTES` of `schemas.events.content`."""
        return self.marks.look(event_id.bytes, content[:CONTENT_BYTES])

    def mark_seen(self, event_id: UUID, content: bytes, now_s: int) -> StateChange:
        """Remember the event; the change goes into the same transaction as its outputs."""
        self.marks.mark(event_id.bytes, now_s, content[:CONTENT_BYTES])
        return StateChange(key=SEEN + event_id.bytes, value=now_s.to_bytes(8, "big") + content[:CONTENT_BYTES])

    def forget(self, event_id: UUID) -> None:
        """Take the event for one not seen; an id that is not there is no error."""
        self.marks.forget(event_id.bytes)

    def forget_written(self, event_id: UUID) -> StateChange:
        """Take an event for one not seen whose mark is in the state topic already; the change removes it there."""
        self.forget(event_id)
        return StateChange(key=SEEN + event_id.bytes, value=None)

    def drop_outlived(self, now_s: int) -> list[StateChange]:
        """Forget some events that are remembered for longer, or are more, than the bounds say."""
        dropped = self.marks.drop(now_s - SEEN_FOR_S, SEEN_KEPT, DROPPED_PER_INPUT)
        return [StateChange(key=SEEN + event_id, value=None) for event_id in dropped]

    def note(self, name: bytes, value: bytes | None) -> StateChange:
        """Keep a small record per partition (None removes it); read it in `notes` after the next takeover."""
        if value is None:
            self.notes.pop(name, None)
        else:
            self.notes[name] = value
        return StateChange(key=NOTE + name, value=value)

    def _restore_positions(self, value: bytes) -> None:
        try:
            self.positions = Positions.from_json(value)
        except ValueError as error:
            logger.error("positions of the state topic cannot be read, the group's offsets count: %s", error)


def own_change(key: bytes, value: bytes | None) -> StateChange:
    """A change of the stage's own state."""
    return StateChange(key=OWN + key, value=value)


def positions_change(positions: Positions) -> StateChange:
    """How far the stage has read, for the transaction that commits it."""
    return StateChange(key=POSITIONS, value=positions.to_json())


def written_partition_counts(bootstrap_servers: str, topic: str, partitions: set[int]) -> set[int]:
    """Under which partition counts the state was written, by the newest positions of each partition.

    Every transaction ends with positions, so they are among the last entries. Blocking. Raises StateUnreadableError.
    """
    newest: dict[int, int] = {}
    for entry in read_state(bootstrap_servers, topic, partitions, newest=_TAIL):
        if entry.key == POSITIONS and entry.value is not None:
            with suppress(ValueError):
                newest[entry.partition] = Positions.from_json(entry.value).partition_count
    return set(newest.values())


async def restore_partitions(
    bootstrap_servers: str, topic: str, partitions: set[int], new_state: Callable[[int], StateT]
) -> dict[int, PartitionState[StateT]]:
    """Fresh states of these partitions, read from the state topic in a thread."""

    def read() -> dict[int, PartitionState[StateT]]:
        states = {partition: PartitionState(new_state(partition)) for partition in partitions}
        # Marks go straight into their compact form. Of everything else only the newest entry per key is restored: a
        # stage is spared what it has changed since.
        latest: dict[int, dict[bytes, StateEntry]] = {partition: {} for partition in partitions}
        for entry in read_state(bootstrap_servers, topic, partitions):
            if entry.key[:1] == SEEN:
                states[entry.partition].restore(entry.key, entry.value)
            else:
                latest[entry.partition][entry.key] = entry
        for partition, entries in latest.items():
            for key, entry in entries.items():
                states[partition].restore(key, entry.value, entry.offset, entry.timestamp_ms)
        return states

    return await asyncio.to_thread(read)
