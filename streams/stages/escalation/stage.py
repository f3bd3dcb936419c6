"""Escalation stage: gradings become demands on people, with a clock that acknowledgements stop and ticks drive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from schemas import ids
from schemas.envelope.audit import audit_attributes, sha256_hex
from schemas.envelope.dead_letter import FORWARDED
from schemas.envelope.partitioner import partition_of
from schemas.envelope.raw import RawRecord
from schemas.events import (
    AcknowledgementEvent,
    EscalationRequest,
    EscalationType,
    GradingEvent,
    GradingKind,
    Lane,
    PipelineStage,
    TickEvent,
)
from streams import metrics, topics
from streams.clinical.acknowledgements import AckOutcome, on_acknowledgement
from streams.clinical.clock import MergeCode, advance, merge, on_tick
from streams.clinical.escalations import OpenEscalation
from streams.clinical.ground_truth import compare
from streams.clinical.policy import Policy
from streams.runtime.encoding import Encoder
from streams.runtime.records import Forward, Input, InputProblem, Output, Result, StateChange
from streams.runtime.stage import Stage
from streams.stages.escalation import audit as entries
from streams.stages.escalation.events import requested_escalation
from streams.stages.escalation.state import EscalationState, case_of_unreadable
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine

#: Escalations that one tick raises at most. A bound on the transaction and on how long the loop is held; when more are
#: due, as after an outage, the ticker sends the next tick as soon as this one is done.
MAX_RAISED = 500


#: What the stage reads.
Joined = GradingEvent | AcknowledgementEvent | TickEvent
Consumed = Input[Joined, EscalationState]


class EscalationStage(Stage[Joined, EscalationState]):
    """Joins gradings, acknowledgements and ticks; one state per partition."""

    name = "escalation"
    inputs = (topics.GRADINGS, topics.ACKNOWLEDGEMENTS, topics.TICKS)
    accepts = (GradingEvent, AcknowledgementEvent, TickEvent)
    patience_s = 5.0
    within_s = 0.01

    def __init__(self, policy: Policy, quarantine: Quarantine, encoder: Encoder, ticker: Ticker) -> None:
        self._policy = policy
        self._quarantine = quarantine
        self._encoder = encoder
        self._ticker = ticker

    async def start(self) -> None:
        """Start watching deadlines; nothing is watched before the first assignment."""
        self._ticker.start()

    async def stop(self) -> None:
        """Stop watching deadlines."""
        await self._ticker.stop()

    def still_s(self) -> Mapping[str, float]:
        """The ticker: without it, deadlines pass and nobody is asked."""
        return {"ticker": self._ticker.still_s()}

    def new_state(self, partition: int) -> EscalationState:
        """No open escalations yet."""
        return EscalationState()

    def case_of_entry(self, key: bytes, value: bytes) -> UUID | None:
        """The case of an open escalation that a newer version has written."""
        return case_of_unreadable(value)

    def on_assigned(self, states: Mapping[int, EscalationState]) -> None:
        """Watch these partitions. What fell due while nobody held them is ticked at once."""
        self._ticker.watch(states)

    async def handle(self, record: Consumed) -> Result:
        """A grading opens escalations, an acknowledgement stops one, a tick raises those that are due."""
        match record.event:
            case GradingEvent() as grading:
                return self._on_grading(record, grading)
            case AcknowledgementEvent() as ack:
                return self._on_acknowledgement(record, ack)
            case TickEvent() as tick:
                return self._on_tick(record, tick)

    def _on_grading(self, record: Consumed, grading: GradingEvent) -> Result:
        return _joined([self._on_request(record, grading, request) for request in grading.escalations])

    def _on_request(self, record: Consumed, grading: GradingEvent, request: EscalationRequest) -> Result:
        state = record.state
        new = requested_escalation(self._policy, grading, request)
        if state.was_closed(new.escalation_id):
            # The same grading again, after people have dealt with what it asked.
            metrics.DUPLICATES.labels(self.name).inc()
            return Result()
        tracked = state.for_demand(grading.case_id, request.type)
        code, result = merge(None if tracked is None else tracked.escalation, new, event_id=ids.escalation_event_id)
        if code is MergeCode.MERGED:
            assert tracked is not None
            return _merged(record, new, tracked.escalation)
        if tracked is None:
            return self._publish(result, state, f"escalated:{request.type.value}:0", record.hash)
        closed = Result(state=_close(record, tracked.escalation))
        outcome = f"superseded:{request.type.value}:{result.event.level}"
        return _joined([closed, self._publish(result, state, outcome, record.hash)])

    def _on_acknowledgement(self, record: Consumed, ack: AcknowledgementEvent) -> Result:
        key = str(ack.case_id).encode()
        if partition_of(key, self.partition_count) != record.raw.partition:
            if any(name == FORWARDED for name, _ in record.raw.headers):
                # It was sent where it belongs and is here again: partitions were added meanwhile. One answer made
                # thousands of records in seconds.
                return Result(problem=InputProblem(reason="misplaced", detail="sent on already, and still misplaced"))
            # Sent with another partitioner than ours, or without a key: its escalation is on another partition.
            return Result(forward=Forward(topic=topics.ACKNOWLEDGEMENTS, key=key))
        tracked = record.state.get(ack.escalation_id)
        outcome = on_acknowledgement(None if tracked is None else tracked.escalation, ack, _stamped(record))
        metrics.ACKNOWLEDGEMENTS.labels(ack.action.value, outcome.code.value).inc()
        note = entries.acknowledged(record, ack, outcome, tracked)
        if tracked is None or not outcome.accepted:
            return Result(notes=(note,))
        if outcome.state is None:
            _count_truth(tracked.escalation, outcome)
            return Result(notes=(note,), state=_close(record, tracked.escalation))
        return Result(notes=(note,), state=(record.state.put(outcome.state, tracked.record_hash),))

    def _on_tick(self, record: Consumed, tick: TickEvent) -> Result:
        state = record.state
        now = state.now = advance(state.now, tick.now, _stamped(record))
        parts = []
        for tracked in state.due(now, MAX_RAISED):
            raised, events = on_tick(
                tracked.escalation, now, event_id=ids.escalation_event_id, unresolved=self._policy.unresolved
            )
            missed, counter = (
                (entries.UNRESOLVED, metrics.UNRESOLVED)
                if tracked.escalation.acknowledged
                else (entries.MISSED, metrics.MISSED)
            )
            for event in events:
                counter.labels(event.type.value).inc()
                outcome = f"{missed}:{event.type.value}:{event.level}"
                parts.append(self._publish(raised, state, outcome, tracked.record_hash))
        return _joined(parts)

    def _publish(self, escalation: OpenEscalation, state: EscalationState, outcome: str, parent_hash: str) -> Result:
        event = escalation.event
        topic = topics.ESCALATIONS[event.type]
        value = self._encoder.encode(event, topic)
        output = Output(
            topic=topic,
            event=event,
            value=value,
            outcome=outcome,
            stage=PipelineStage.ESCALATION,
            parent_hash=parent_hash,
            attributes=audit_attributes(
                {
                    "escalation_id": event.escalation_id,
                    "level": event.level,
                    "role": event.role,
                    "respond_by": event.respond_by.isoformat(timespec="milliseconds"),
                }
            ),
        )
        if event.synthetic:
            # A canary is published, to be timed; no person is asked, so no deadline runs.
            return Result(outputs=(output,))
        metrics.ESCALATIONS.labels(event.type.value, str(min(event.level, 9))).inc()
        return Result(outputs=(output,), state=(state.put(escalation, sha256_hex(value)),))

    def on_problem(self, raw: RawRecord, event: Joined | None, problem: InputProblem) -> Result:
        """Asks through the gradings topic, so that the request comes to the partition of its case."""
        if isinstance(event, GradingEvent) and event.kind is GradingKind.QUARANTINE:
            # A request of ours that cannot be processed would ask for itself for ever; the dead letter remains, and
            # with it the alert on dead letters.
            return Result()
        # An escalation that cannot be read may have been any.
        urgent = problem.reason == "state_unreadable" or (isinstance(event, GradingEvent) and _has_emergency(event))
        lane = Lane.EMERGENCY if urgent else Lane.ROUTINE
        return self._quarantine.ask(raw, event, problem, lane)


def _stamped(record: Consumed) -> datetime:
    """The broker's time for the record."""
    return datetime.fromtimestamp(record.raw.timestamp_ms / 1000, UTC)


def _has_emergency(grading: GradingEvent) -> bool:
    return any(request.type is EscalationType.EMERGENCY for request in grading.escalations)


def _joined(parts: Sequence[Result]) -> Result:
    """What several demands add to one result, in order."""
    return Result(
        outputs=tuple(output for part in parts for output in part.outputs),
        notes=tuple(note for part in parts for note in part.notes),
        state=tuple(change for part in parts for change in part.state),
    )


def _close(record: Consumed, escalation: OpenEscalation) -> tuple[StateChange, ...]:
    """Removes an escalation and remembers that it was closed."""
    closed = record.state.close(escalation.escalation_id, record.raw.timestamp_ms // 1000)
    return (record.state.remove(escalation), *closed)


def _merged(record: Consumed, new: OpenEscalation, current: OpenEscalation) -> Result:
    """A demand that an open escalation already makes: audited, not published again."""
    if new.escalation_id == current.escalation_id:
        return Result()
    # Once the current one is resolved, this demand is answered too, however often its grading comes again.
    closed = record.state.close(new.escalation_id, record.raw.timestamp_ms // 1000)
    return Result(notes=(entries.merged(record, new, current),), state=tuple(closed))


def _count_truth(escalation: OpenEscalation, outcome: AckOutcome) -> None:
    if outcome.true_stage is not None:
        judged = compare(outcome.model_stage, outcome.true_stage)
        metrics.GROUND_TRUTH.labels(escalation.event.model_version or "none", judged.value).inc()
