"""What the escalation stage writes into the audit about records that it did not publish."""

from __future__ import annotations

from schemas.envelope.audit import audit_attributes
from schemas.envelope.dead_letter import event_id_of
from schemas.events import AcknowledgementEvent, PipelineStage
from streams import topics
from streams.clinical.acknowledgements import AckOutcome
from streams.clinical.escalations import OpenEscalation
from streams.clinical.ground_truth import compare
from streams.runtime.records import AuditNote, EventT, Input, StateT
from streams.stages.escalation.state import TrackedEscalation

#: Outcomes of a deadline that passed: nobody took the escalation up, or whoever did has not resolved it.
MISSED, UNRESOLVED = "deadline_missed", "unresolved"


def merged(record: Input[EventT, StateT], new: OpenEscalation, current: OpenEscalation) -> AuditNote:
    """A demand that an open escalation already makes; it leads to its grading."""
    return AuditNote(
        event_id=new.event.event_id,
        case_id=new.event.case_id,
        topic=topics.GRADINGS,
        outcome=f"merged:{new.event.type.value}",
        stage=PipelineStage.ESCALATION,
        output_hash=record.hash,
        parent_hash=record.hash,
        source_event_id=new.event.source_event_id,
        attributes=audit_attributes({"escalation_id": current.escalation_id}),
    )


def acknowledged(
    record: Input[EventT, StateT], ack: AcknowledgementEvent, outcome: AckOutcome, tracked: TrackedEscalation | None
) -> AuditNote:
    """What became of an answer: it counts, or was refused and why; with a staging, what that says of the model's."""
    judged = outcome.true_stage is not None
    return AuditNote(
        # What counts is written under the event's id. A refused or repeated one must not overwrite that entry, so it
        # has an id of its own, made from its topic, partition and offset.
        event_id=ack.event_id if outcome.in_time is not None else event_id_of(record.raw),
        case_id=ack.case_id,
        topic=topics.ACKNOWLEDGEMENTS,
        outcome=outcome.code.value,
        stage=PipelineStage.ACKNOWLEDGEMENT,
        output_hash=record.hash,
        parent_hash=None if tracked is None else tracked.record_hash,
        source_event_id=ack.escalation_id,
        attributes=audit_attributes(
            {
                "escalation_id": ack.escalation_id,
                "ack_event_id": ack.event_id,
                "role": ack.role,
                "level": None if tracked is None else tracked.escalation.event.level,
                "resolve_by": _resolve_by(outcome),
                "in_time": outcome.in_time,
                "refusal": outcome.refusal or None,
                "model_stage": outcome.model_stage,
                "true_stage": outcome.true_stage,
                "model_version": tracked.escalation.event.model_version if judged and tracked is not None else None,
                "agreement": compare(outcome.model_stage, outcome.true_stage).value if judged else None,
            }
        ),
    )


def _resolve_by(outcome: AckOutcome) -> str | None:
    at = None if outcome.state is None or not outcome.accepted else outcome.state.resolve_by
    return None if at is None else at.isoformat(timespec="milliseconds")
