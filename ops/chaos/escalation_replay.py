"""Replays the escalations of a case along its audit entries, and compares what was published with what must be.

The order of the entries is the order in which things happened. Each entry is an assertion about a state machine whose
rules are pure functions (streams/clinical/clock.py), so every event that was published can be computed: the replay
reports an early, missing, doubled or altered one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from ops.chaos.values import SeenRecord, Verdict, Violation, where
from schemas import ids
from schemas.events import (
    AcknowledgementEvent,
    AuditEntry,
    EscalationEvent,
    EscalationType,
    GradingEvent,
    PipelineStage,
)
from streams.clinical.acknowledgements import on_acknowledgement
from streams.clinical.clock import MergeCode, merge, on_tick, open_escalation
from streams.clinical.escalations import OpenEscalation
from streams.clinical.policy import Policy
from streams.stages.escalation.audit import MISSED, UNRESOLVED

_WORDS = {MergeCode.OPENED: "escalated", MergeCode.MERGED: "merged", MergeCode.SUPERSEDED: "superseded"}


class CaseReplay:
    """The state of one case's escalations. Feed it the case's entries in order, then call `finish`."""

    def __init__(
        self,
        policy: Policy,
        gradings: dict[UUID, SeenRecord],
        acks: dict[UUID, list[SeenRecord]],
        escalations: dict[UUID, list[SeenRecord]],
        verdict: Verdict,
    ) -> None:
        self._policy, self._verdict = policy, verdict
        self._gradings, self._acks, self._escalations = gradings, acks, escalations
        self._open: dict[UUID, OpenEscalation] = {}
        self._met: set[tuple[UUID, str]] = set()
        self._answered: set[UUID] = set()
        self._claimed: set[UUID] = set()
        self._reached: dict[str, int] = {}

    def run(self, entries: Sequence[AuditEntry]) -> None:
        """Replay the entries of the escalation stage."""
        for entry in entries:
            if entry.stage is PipelineStage.ACKNOWLEDGEMENT:
                self._acknowledged(entry)
            elif entry.stage is PipelineStage.ESCALATION:
                word, kind = entry.outcome.split(":")[:2]
                if word in (MISSED, UNRESOLVED):
                    self._raised(entry)
                else:
                    self._demanded(entry, word, EscalationType(kind))

    def finish(self, until: datetime, late_after: timedelta) -> None:
        """Report demands of gradings and acknowledgements without an audit entry, and deadlines that were overlooked.

        `until`: when the records were read; `late_after`: how long after its deadline an escalation may be raised.
        """
        for grading_id, seen in self._gradings.items():
            for request in seen.event.escalations:
                if (grading_id, request.type.value) not in self._met:
                    event_id = ids.escalation_event_id(ids.escalation_id(grading_id, request.type.value), 0)
                    kind = Violation.UNAUDITED if event_id in self._escalations else Violation.SILENCED
                    self._verdict.add(kind, f"{request.type.value} escalation asked for at {where(seen)}")
        for event_id, records in self._escalations.items():
            if event_id not in self._claimed:
                known = records[0].event.source_event_id in self._gradings
                self._verdict.add(
                    Violation.UNAUDITED if known else Violation.INVENTED, f"escalation at {where(records[0])}"
                )
        for ack_id, acks in self._acks.items():
            if ack_id not in self._answered:
                self._verdict.add(Violation.LOST, f"answer at {where(acks[0])} was never taken")
        for state in self._open.values():
            if not state.event.synthetic and state.next_due and state.next_due + late_after < until:
                self._verdict.add(Violation.LATE, f"escalation {state.escalation_id} was never raised")

    def _in_order(self, seen: SeenRecord) -> None:
        if seen.offset < self._reached.get(seen.topic, -1):
            self._verdict.add(Violation.DISORDERED, f"{where(seen)} was taken up after a later one")
        self._reached[seen.topic] = max(seen.offset, self._reached.get(seen.topic, -1))

    def _demanded(self, entry: AuditEntry, word: str, kind: EscalationType) -> None:
        seen = None if entry.source_event_id is None else self._gradings.get(entry.source_event_id)
        if seen is None or (request := next((r for r in seen.event.escalations if r.type is kind), None)) is None:
            self._verdict.add(Violation.INVENTED, f"audit says {entry.outcome}, and no grading asked for it")
            return
        grading: GradingEvent = seen.event
        self._in_order(seen)
        if (grading.event_id, kind.value) in self._met:
            self._verdict.add(Violation.DUPLICATED, f"{entry.outcome} twice for {where(seen)}")
        self._met.add((grading.event_id, kind.value))
        new = open_escalation(
            request,
            grading,
            escalation_id=ids.escalation_id(grading.event_id, kind.value),
            event_id=ids.escalation_event_id,
            ladder=self._policy.escalations[kind].ladder,
            disclaimer=self._policy.disclaimer,
            raised_at=grading.graded_at,
        )
        current = next((each for each in self._open.values() if each.event.type is kind), None)
        code, result = merge(current, new, event_id=ids.escalation_event_id)
        if _WORDS[code] != word:
            self._verdict.add(Violation.WRONG, f"{entry.outcome} where {code.value} was due, for {where(seen)}")
        if code is MergeCode.MERGED:
            return
        if current is not None:
            del self._open[current.escalation_id]
        self._open[result.escalation_id] = result
        self._published(result.event)

    def _raised(self, entry: AuditEntry) -> None:
        records = self._escalations.get(entry.event_id)
        before = self._open.get(UUID(entry.attributes["escalation_id"]))
        if not records or before is None:
            kind = Violation.LOST if not records else Violation.WRONG
            self._verdict.add(kind, f"{entry.outcome} of event {entry.event_id}: nothing was open, or no record")
            return
        now = records[0].event.raised_at
        state, events = on_tick(before, now, event_id=ids.escalation_event_id, unresolved=self._policy.unresolved)
        if not events:
            self._verdict.add(Violation.WRONG, f"{where(records[0])} was raised before its deadline or after an answer")
            return
        self._open[state.escalation_id] = state
        self._published(events[0])

    def _acknowledged(self, entry: AuditEntry) -> None:
        ack_id = UUID(entry.attributes.get("ack_event_id", str(entry.event_id)))
        found = self._acks.get(ack_id)
        if not found:
            self._verdict.add(Violation.INVENTED, f"the audit has answer {ack_id}, which nobody published")
            return
        self._answered.add(ack_id)
        ack: AcknowledgementEvent = found[0].event
        stamped = datetime.fromtimestamp(found[0].timestamp_ms / 1000, UTC)
        outcome = on_acknowledgement(self._open.get(ack.escalation_id), ack, stamped)
        if outcome.code.value != entry.outcome:
            self._verdict.add(
                Violation.WRONG, f"answer at {where(found[0])}: {entry.outcome}, not {outcome.code.value}"
            )
        if outcome.accepted:
            self._open.pop(ack.escalation_id, None)
            if outcome.state is not None:
                self._open[ack.escalation_id] = outcome.state

    def _published(self, expected: EscalationEvent) -> None:
        records = self._escalations.get(expected.event_id, [])
        self._claimed.add(expected.event_id)
        if not records:
            self._verdict.add(Violation.LOST, f"{expected.type.value} escalation event {expected.event_id}")
        if len(records) > 1:
            self._verdict.add(Violation.DUPLICATED, f"{where(records[1])} repeats {where(records[0])}")
        if any(record.event != expected for record in records):
            self._verdict.add(Violation.WRONG, f"{where(records[0])} is not what its grading and clock demand")
