"""The open escalations of one partition, with the hash of what was last published of each.

The hash is the audit chain's link from a raised escalation, or from an acknowledgement, back to the record it answers.

What was closed is remembered too, for a while: a grading that comes again after its escalation was resolved must not
ask for people again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.events import EscalationType, ReviewPriority
from streams.clinical.escalations import OpenEscalation
from streams.runtime.records import StateChange
from streams.runtime.state import SEEN_FOR_S, own_change
from streams.stages.escalation.due_index import DueIndex

_HASH_BYTES = 32
_CLOSED = b"c"
#: How long the id of a closed escalation is remembered. Grading leaves out an event that comes again within
#: `SEEN_FOR_S`; the day more covers what then still lies in the log.
CLOSED_FOR_S = SEEN_FOR_S + 24 * 3600
#: Closed ids remembered per partition at most: 17 bytes each on the topic, some 150 in memory. At four partitions
#: that is 200,000 closed escalations in eight days, far more than a hospital has; beyond it the oldest go first.
CLOSED_KEPT = 50_000


@dataclass(frozen=True, slots=True)
class TrackedEscalation:
    """An open escalation and the SHA-256 (hex) of its last published record."""

    escalation: OpenEscalation
    record_hash: str


class EscalationState:
    """Open escalations by id, and by what they demand of whom. Every change is returned for the state topic."""

    def __init__(self) -> None:
        self._by_id: dict[UUID, TrackedEscalation] = {}
        self._by_demand: dict[tuple[UUID, EscalationType], UUID] = {}
        #: Escalation id → epoch seconds when it was closed; in that order.
        self._closed: dict[bytes, int] = {}
        #: When each will be raised if nothing happens.
        self._deadlines = DueIndex()
        #: How many are open, by priority.
        self.counted: Counter[ReviewPriority] = Counter()
        #: The latest time that a tick brought; it never goes back.
        self.now: datetime | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over one entry of the state topic."""
        if key[:1] == _CLOSED and len(key) == 1 + 16:
            self._closed[key[1:]] = int.from_bytes(value, "big")
            return
        tracked = TrackedEscalation(OpenEscalation.from_json(value[_HASH_BYTES:]), value[:_HASH_BYTES].hex())
        self._keep(tracked)

    def get(self, escalation_id: UUID) -> TrackedEscalation | None:
        """The open escalation of that id."""
        return self._by_id.get(escalation_id)

    def for_demand(self, case_id: UUID, kind: EscalationType) -> TrackedEscalation | None:
        """The open escalation of that type for that case; there is one at most."""
        escalation_id = self._by_demand.get((case_id, kind))
        return None if escalation_id is None else self._by_id.get(escalation_id)

    def put(self, escalation: OpenEscalation, record_hash: str) -> StateChange:
        """Keep an escalation in its newest state."""
        self._keep(TrackedEscalation(escalation, record_hash))
        value = bytes.fromhex(record_hash) + escalation.to_json()
        return own_change(escalation.escalation_id.bytes, value)

    def remove(self, escalation: OpenEscalation) -> StateChange:
        """Let an escalation go: resolved, or superseded by a more urgent one."""
        self._forget(escalation.escalation_id)
        demand = (escalation.event.case_id, escalation.event.type)
        if self._by_demand.get(demand) == escalation.escalation_id:
            del self._by_demand[demand]
        return own_change(escalation.escalation_id.bytes, None)

    def was_closed(self, escalation_id: UUID) -> bool:
        """Whether this escalation was resolved, superseded, or merged into another, not long ago."""
        return escalation_id.bytes in self._closed

    def close(self, escalation_id: UUID, at_s: int) -> Iterator[StateChange]:
        """Remember that it is closed since `at_s` (epoch seconds), and forget what was closed long before."""
        self._closed.pop(escalation_id.bytes, None)
        self._closed[escalation_id.bytes] = at_s
        yield own_change(_CLOSED + escalation_id.bytes, at_s.to_bytes(8, "big"))
        for oldest in list(self._outlived(at_s)):
            del self._closed[oldest]
            yield own_change(_CLOSED + oldest, None)

    def due(self, now: datetime, limit: int) -> list[TrackedEscalation]:
        """At most `limit` whose deadline has passed, the longest overdue first; equal ones by id, so that a replay has
        the same order."""
        return [self._by_id[escalation_id] for escalation_id in self._deadlines.due(now, limit)]

    def first_due(self) -> datetime | None:
        """The earliest deadline."""
        return self._deadlines.first()

    def _outlived(self, now_s: int) -> Iterator[bytes]:
        too_many = len(self._closed) - CLOSED_KEPT
        for position, (closed, at_s) in enumerate(self._closed.items()):
            if position >= too_many and at_s >= now_s - CLOSED_FOR_S:
                return
            yield closed

    def _keep(self, tracked: TrackedEscalation) -> None:
        escalation, event = tracked.escalation, tracked.escalation.event
        self._forget(event.escalation_id)
        self._by_id[event.escalation_id] = tracked
        self._by_demand[event.case_id, event.type] = event.escalation_id
        self.counted[event.review_priority] += 1
        if escalation.next_due is not None:
            self._deadlines.set(event.escalation_id, escalation.next_due)

    def _forget(self, escalation_id: UUID) -> None:
        tracked = self._by_id.pop(escalation_id, None)
        if tracked is not None:
            self.counted[tracked.escalation.event.review_priority] -= 1
            self._deadlines.discard(escalation_id)


def case_of_unreadable(value: bytes) -> UUID | None:
    """The case that an entry names which this version cannot read; None where it is damaged."""
    try:
        return UUID(json.loads(value[_HASH_BYTES:])["event"]["case_id"])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
