"""Escalation stage: gradings become demands on people, with a clock that acknowledgements stop and ticks drive."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from schemas import ids
from schemas.envelope.audit import audit_attributes, sha256_hex
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
from schemas.serde import Serde
from streams import metrics, topics
from streams.clinical.acknowledgements import AckOutcome, on_acknowledgement
from streams.clinical.clock import MergeCode, advance, merge, on_tick, open_escalation
from streams.clinical.escalations import OpenEscalation
from streams.clinical.ground_truth import compare
from streams.clinical.policy import Policy
from streams.runtime.records import AuditNote, Forward, Input, InputProblem, Output, Result, StateChange
from streams.runtime.stage import Stage
from streams.stages.escalation import audit as entries
from streams.stages.escalation.state import EscalationState
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine


class _Published(NamedTuple):
    """What publishing an escalation adds to a result."""

    outputs: tuple[Output, ...] = ()
    state: tuple[StateChange, ...] = ()
    notes: tuple[AuditNote, ...] = ()


#: Escalations that one tick raises at most. A bound on the transaction and on how long the loop is held; when more are
#: due, as after an outage, the ticker sends the next tick as soon as this one is done.
MAX_RAISED = 500


class EscalationStage(Stage):
    """Joins gradings, acknowledgements and ticks; one state per partition."""

    name = "escalation"
    inputs = (topics.GRADINGS, topics.ACKNOWLEDGEMENTS, topics.TICKS)
    accepts = (GradingEvent, AcknowledgementEvent, TickEvent)
    patience_s = 5.0
    within_s = 0.01

    def __init__(self, policy: Policy, quarantine: Quarantine, serde: Serde, ticker: Ticker) -> None:
        self._policy = policy
        self._quarantine = quarantine
        self._serde = serde
        self._ticker = ticker

    async def start(self) -> None:
        """Start watching deadlines; nothing is watched before the first assignment."""
        self._ticker.start()

    async def stop(self) -> None:
        """Stop watching deadlines."""
        await self._ticker.stop()

    def new_state(self, partition: int) -> EscalationState:
        """No open escalations yet."""
        return EscalationState()

    def on_assigned(self, states: dict[int, EscalationState]) -> None:
        """Watch these partitions. What fell due while nobody held them is ticked at once."""
        self._ticker.watch(states)

    async def handle(self, record: Input) -> Result:
        """A grading opens escalations, an acknowledgement stops one, a tick raises those that are due."""
        state: EscalationState = record.state.own
        match record.event:
            case GradingEvent() as grading:
                return self._on_grading(record, grading, state)
            case AcknowledgementEvent() as ack:
                return self._on_acknowledgement(record, ack, state)
            case TickEvent() as tick:
                return self._on_tick(record, tick, state)
        raise TypeError(type(record.event).__name__)

    def _on_grading(self, record: Input, grading: GradingEvent, state: EscalationState) -> Result:
        parts = [self._demand(record, grading, request, state) for request in grading.escalations]
        return Result(
            outputs=tuple(output for part in parts for output in part.outputs),
            state=tuple(change for part in parts for change in part.state),
            notes=tuple(note for part in parts for note in part.notes),
        )

    def _demand(
        self, record: Input, grading: GradingEvent, request: EscalationRequest, state: EscalationState
    ) -> _Published:
        new = demanded(self._policy, grading, request)
        if state.was_closed(new.escalation_id):
            # The same grading again, after people have dealt with what it asked.
            metrics.DUPLICATES.labels(self.name).inc()
            return _Published()
        tracked = state.for_demand(grading.case_id, request.type)
        code, result = merge(None if tracked is None else tracked.escalation, new, event_id=ids.escalation_event_id)
        if code is MergeCode.MERGED:
            assert tracked is not None
            return _merged(record, new, tracked.escalation, state)
        if tracked is None:
            return self._publish(result, state, f"escalated:{request.type.value}:0", record.hash)
        gone = _closed(record, tracked.escalation, state)
        published = self._publish(result, state, f"superseded:{request.type.value}:{result.event.level}", record.hash)
        return published._replace(state=(*gone, *published.state))

    def _publish(
        self, escalation: OpenEscalation, state: EscalationState, outcome: str, parent_hash: str
    ) -> _Published:
        event = escalation.event
        topic = topics.ESCALATIONS[event.type]
        value = self._serde.encode(event, topic)
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
            return _Published(outputs=(output,))
        metrics.ESCALATIONS.labels(event.type.value, str(min(event.level, 9))).inc()
        return _Published(outputs=(output,), state=(state.put(escalation, sha256_hex(value)),))

    def _on_tick(self, record: Input, tick: TickEvent, state: EscalationState) -> Result:
        stamped = datetime.fromtimestamp(record.raw.timestamp_ms / 1000, UTC)
        state.now = advance(state.now, tick.now, stamped)
        outputs: list[Output] = []
        changes: list[StateChange] = []
        notes: list[AuditNote] = []
        for ended in state.expired(state.now, MAX_RAISED):
            notes.append(entries.expired(ended))
            changes.extend(_closed(record, ended.escalation, state))
        for tracked in state.due(state.now, MAX_RAISED):
            raised, events = on_tick(tracked.escalation, state.now, event_id=ids.escalation_event_id)
            for event in events:
                metrics.MISSED.labels(event.type.value).inc()
                outcome = f"deadline_missed:{event.type.value}:{event.level}"
                published = self._publish(raised, state, outcome, tracked.record_hash)
                outputs.extend(published.outputs)
                changes.extend(published.state)
        return Result(outputs=outputs, notes=notes, state=changes)

    def _on_acknowledgement(self, record: Input, ack: AcknowledgementEvent, state: EscalationState) -> Result:
        partition = partition_of(str(ack.case_id).encode(), self.partitions)
        if partition != record.raw.partition:
            # Sent with another partitioner than ours, or without a key: its escalation lies on another partition.
            return Result(forward=Forward(topic=topics.ACKNOWLEDGEMENTS, key=str(ack.case_id).encode()))
        tracked = state.get(ack.escalation_id)
        outcome = on_acknowledgement(None if tracked is None else tracked.escalation, ack)
        metrics.ACKNOWLEDGEMENTS.labels(ack.action.value, outcome.code.value).inc()
        note = entries.acknowledged(record, ack, outcome, tracked)
        if tracked is None or not outcome.accepted:
            return Result(notes=(note,))
        if outcome.state is None:
            _count_truth(tracked.escalation, outcome)
            return Result(notes=(note,), state=_closed(record, tracked.escalation, state))
        return Result(notes=(note,), state=(state.put(outcome.state, tracked.record_hash),))

    def on_problem(self, raw: RawRecord, event: Any | None, problem: InputProblem, state: Any) -> Result:
        """Asks through the gradings topic, so that the request comes to the partition of its case."""
        if isinstance(event, GradingEvent) and event.kind is GradingKind.QUARANTINE:
            # A request of ours that cannot be processed would ask for itself for ever; the dead letter remains, and
            # with it the alert on dead letters.
            return Result()
        lane = Lane.EMERGENCY if isinstance(event, GradingEvent) and _has_emergency(event) else Lane.ROUTINE
        return self._quarantine.ask(raw, event, problem, lane)


def demanded(policy: Policy, grading: GradingEvent, request: EscalationRequest) -> OpenEscalation:
    """The escalation, at level 0, that a grading asks for with this request."""
    return open_escalation(
        request,
        grading,
        escalation_id=ids.escalation_id(grading.event_id, request.type.value),
        event_id=ids.escalation_event_id,
        ladder=policy.escalations[request.type].ladder,
        disclaimer=policy.disclaimer,
        raised_at=grading.graded_at,
    )


def _has_emergency(grading: GradingEvent) -> bool:
    return any(request.type is EscalationType.EMERGENCY for request in grading.escalations)


def _closed(record: Input, escalation: OpenEscalation, state: EscalationState) -> tuple[StateChange, ...]:
    """Lets an escalation go and remembers that it was there."""
    closed = state.close(escalation.escalation_id, record.raw.timestamp_ms // 1000)
    return (state.remove(escalation), *closed)


def _count_truth(escalation: OpenEscalation, outcome: AckOutcome) -> None:
    if outcome.true_stage is not None:
        judged = compare(outcome.model_stage, outcome.true_stage)
        metrics.GROUND_TRUTH.labels(escalation.event.model_version or "none", judged.value).inc()


def _merged(record: Input, new: OpenEscalation, current: OpenEscalation, state: EscalationState) -> _Published:
    """A demand that an open escalation already makes: audited, not published again."""
    if new.escalation_id == current.escalation_id:
        return _Published()
    # Once the current one is resolved, this demand is answered too, however often its grading comes again.
    closed = state.close(new.escalation_id, record.raw.timestamp_ms // 1000)
    return _Published(notes=(entries.merged(record, new, current),), state=tuple(closed))
