"""What the escalation stage writes into the audit about records that it did not publish."""

from __future__ import annotations

from schemas import ids
from schemas.envelope.audit import audit_attributes
from schemas.envelope.dead_letter import event_id_of
from schemas.events import AcknowledgementEvent, PipelineStage
from streams import topics
from streams.clinical.acknowledgements import AckOutcome
from streams.clinical.escalations import OpenEscalation
from streams.clinical.ground_truth import compare
from streams.runtime.records import Input, Noted
from streams.stages.escalation.state import ACKNOWLEDGED_FOR, Standing


def merged(given: Input, new: OpenEscalation, standing: OpenEscalation) -> Noted:
    """A demand that an open escalation already makes; it leads to its grading."""
    return Noted(
        event_id=new.event.event_id,
        case_id=new.event.case_id,
        topic=topics.GRADINGS,
        outcome=f"merged:{new.event.type.value}",
        stage=PipelineStage.ESCALATION,
        output_hash=given.hash,
        parent_hash=given.hash,
        source_event_id=new.event.source_event_id,
        attributes=audit_attributes({"escalation_id": standing.escalation_id}),
    )


def expired(ended: Standing) -> Noted:
    """An escalation that was acknowledged, never resolved, and is kept no longer."""
    event = ended.escalation.event
    return Noted(
        # An id of its own: under the event's stands what became of it when it was published.
        event_id=ids.derived_id(event.event_id, "expired", "1"),
        case_id=event.case_id,
        topic=topics.GRADINGS,
        outcome=f"expired:{event.type.value}",
        stage=PipelineStage.ESCALATION,
        output_hash=ended.record_hash,
        parent_hash=ended.record_hash,
        source_event_id=event.source_event_id,
        attributes=audit_attributes(
            {
                "escalation_id": event.escalation_id,
                "level": event.level,
                "acknowledged_role": ended.escalation.acknowledged_role,
                "days": ACKNOWLEDGED_FOR.days,
            }
        ),
    )


def acknowledged(given: Input, ack: AcknowledgementEvent, outcome: AckOutcome, standing: Standing | None) -> Noted:
    """What became of an answer: it counts, or was refused and why; with a staging, what that says of the model's."""
    judged = outcome.true_stage is not None
    return Noted(
        # What counts is written under the event's id. A refused or repeated one must not overwrite that entry, so it
        # has an id of its own, made from where it lies.
        event_id=ack.event_id if outcome.in_time is not None else event_id_of(given.raw),
        case_id=ack.case_id,
        topic=topics.ACKNOWLEDGEMENTS,
        outcome=outcome.code.value,
        stage=PipelineStage.ACKNOWLEDGEMENT,
        output_hash=given.hash,
        parent_hash=None if standing is None else standing.record_hash,
        source_event_id=ack.escalation_id,
        attributes=audit_attributes(
            {
                "escalation_id": ack.escalation_id,
                "ack_event_id": ack.event_id,
                "role": ack.role,
                "in_time": outcome.in_time,
                "refusal": outcome.refusal or None,
                "model_stage": outcome.model_stage,
                "true_stage": outcome.true_stage,
                "model_version": standing.escalation.event.model_version if judged and standing is not None else None,
                "agreement": compare(outcome.model_stage, outcome.true_stage).value if judged else None,
            }
        ),
    )
