"""The open escalations of one partition number, with the hash of what was last published of each.

The hash is the audit chain's link from a raised escalation, or from an acknowledgement, back to the record it answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from schemas.events import EscalationType
from streams.clinical.escalations import OpenEscalation
from streams.runtime.records import StateChange
from streams.runtime.state import own_change

_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Standing:
    """An open escalation and the SHA-256 (hex) of its last published record."""

    escalation: OpenEscalation
    record_hash: str


class EscalationState:
    """Open escalations by id, and by what they demand of whom. Every change is returned for the state topic."""

    def __init__(self) -> None:
        self._by_id: dict[UUID, Standing] = {}
        self._by_demand: dict[tuple[UUID, EscalationType], UUID] = {}
        #: The latest time a tick has told; it never goes back.
        self.now: datetime | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def restore(self, key: bytes, value: bytes) -> None:
        """Take over one entry of the state topic."""
        standing = Standing(OpenEscalation.from_json(value[_HASH_BYTES:]), value[:_HASH_BYTES].hex())
        self._keep(standing)

    def get(self, escalation_id: UUID) -> Standing | None:
        """The open escalation of that id."""
        return self._by_id.get(escalation_id)

    def for_demand(self, case_id: UUID, kind: EscalationType) -> Standing | None:
        """The open escalation of that type for that case; there is one at most."""
        escalation_id = self._by_demand.get((case_id, kind))
        return None if escalation_id is None else self._by_id.get(escalation_id)

    def open(self) -> Iterable[OpenEscalation]:
        """All open escalations."""
        return (standing.escalation for standing in self._by_id.values())

    def put(self, escalation: OpenEscalation, record_hash: str) -> StateChange:
        """Keep an escalation in its newest state."""
        self._keep(Standing(escalation, record_hash))
        value = bytes.fromhex(record_hash) + escalation.to_json()
        return own_change(escalation.escalation_id.bytes, value)

    def remove(self, escalation: OpenEscalation) -> StateChange:
        """Let an escalation go: resolved, or superseded by a more urgent one."""
        self._by_id.pop(escalation.escalation_id, None)
        demand = (escalation.event.case_id, escalation.event.type)
        if self._by_demand.get(demand) == escalation.escalation_id:
            del self._by_demand[demand]
        return own_change(escalation.escalation_id.bytes, None)

    def first_due(self) -> datetime | None:
        """The earliest deadline that is running."""
        return min((due for each in self.open() if (due := each.next_due) is not None), default=None)

    def _keep(self, standing: Standing) -> None:
        event = standing.escalation.event
        self._by_id[event.escalation_id] = standing
        self._by_demand[event.case_id, event.type] = event.escalation_id
