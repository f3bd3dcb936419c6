"""Entries of state topics as an owner finds them: damaged, of a newer version, or somebody else's."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from schemas.envelope.raw import RawRecord
from streams import topics
from streams.clinical.escalations import OpenEscalation
from streams.runtime import deaths
from streams.runtime.orders import SkipOrder, orders
from streams.runtime.positions import Positions
from streams.runtime.state import NOTE, OWN, POSITIONS, SEEN, PartitionState
from streams.stages.escalation.state import EscalationState, case_of_unreadable
from streams.stages.notification.ledger import Ledger, Owed
from tests.fuzz.mutation import as_json, changed
from tests.unit.schemas.samples import ESCALATION_EVENT

OPEN = OpenEscalation(
    event=ESCALATION_EVENT,
    opened_at=ESCALATION_EVENT.raised_at,
    ladder=("nurse_specialist", "medical_team"),
    reescalate_every_s=1_800,
    resolve_within_s=7_200,
)
SOURCE = RawRecord(topic=topics.GRADINGS, partition=0, offset=1, timestamp_ms=2, key=b"k", value=b"v")
LATER = datetime(2100, 1, 1, tzinfo=UTC)


class Target:
    """A few entries at a time, restored into one partition's state, which is then used."""

    def __init__(self) -> None:
        self._escalation = json.loads(OPEN.to_json())
        self._owed = json.loads(Owed(raw=SOURCE, event=ESCALATION_EVENT).to_json())
        self._notes = {
            deaths.NOTE: json.loads(deaths.to_json({topics.GRADINGS: deaths.Start(5, 2)})),
            SkipOrder(topics.GRADINGS, 5, "why").note: {"topic": topics.GRADINGS, "offset": 5, "reason": "why"},
        }
        self._positions = json.loads(Positions(partition_count=4, offsets={topics.GRADINGS: ("id", 5)}).to_json())

    def run(self, rng: Random) -> str:
        """One state."""
        state = PartitionState(EscalationState())
        for offset in range(rng.choice((1, 1, 2, 4))):
            key, value = self._entry(rng)
            state.restore(key, value, offset, rng.choice((0, -1, 2**63 - 1)))
        begin = deaths.begun(deaths.from_json(state.notes.get(deaths.NOTE)), {topics.GRADINGS: 7})
        deaths.to_json(deaths.left(begin, set()))
        for _, order in orders(state.notes):
            if order is not None:
                order.to_json()
        for entry in state.unreadable.values():
            case_of_unreadable(entry.value)
        if state.positions is not None:
            state.positions.moved({topics.GRADINGS: 8}, {}, 4).to_json()
        for due in state.own.due(LATER, 10):
            due.escalation.to_json()
        ledger = Ledger()
        ledger.restore(b"", self._json(rng, self._owed))
        for owed in ledger:
            owed.to_json()
            owed.stale(LATER - timedelta(days=1))
        return "unreadable" if state.unreadable else f"{len(state.own)} escalations"

    def close(self) -> None:
        """Nothing is held."""

    def _entry(self, rng: Random) -> tuple[bytes, bytes]:
        kind = rng.choice((OWN, OWN, POSITIONS, NOTE, NOTE, SEEN, b"", b"?"))
        if kind == OWN and rng.random() < 0.2:
            return OWN + b"c" + bytes(16), rng.randbytes(rng.randrange(20))
        if kind == OWN:
            return OWN + rng.randbytes(16), rng.randbytes(32) + self._json(rng, self._escalation)
        if kind == POSITIONS:
            return POSITIONS, self._json(rng, self._positions)
        if kind == NOTE:
            name = rng.choice(list(self._notes))
            return NOTE + name, self._json(rng, self._notes[name])
        return kind + rng.randbytes(rng.choice((0, 16))), rng.randbytes(rng.randrange(40))

    def _json(self, rng: Random, value: Any) -> bytes:
        return as_json(rng, changed(rng, value, rng.choice((0.0, 0.03, 0.2))))
