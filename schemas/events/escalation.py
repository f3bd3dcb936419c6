"""What reaches people: an escalation, and their answer to it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from schemas.constraints import Code, Known, Name, PatientToken, Probability, Range, Seconds, Sha256, Token
from schemas.events.case import ImageReference
from schemas.events.codes import AcknowledgementAction, EscalationType, Lane, ReviewPriority, Severity, StageClass
from schemas.events.grading import ProtocolReference, Reason, Text
from schemas.record import Record, record


@record
class EscalationEvent(Record):
    """A demand that `role` answers by `respond_by`; `level` counts the times it was raised, 0 first."""

    event_id: UUID
    escalation_id: UUID
    case_id: UUID
    source_event_id: UUID
    type: Annotated[EscalationType, Known()]
    level: Annotated[int, Range(0, 2**31 - 1)]
    role: Name
    roles: tuple[Code, ...]
    channels: tuple[Code, ...]
    review_priority: Annotated[ReviewPriority, Known()]
    severity: Annotated[Severity, Known()]
    stage: StageClass | None = None
    confidence: Probability | None = None
    raised_at: datetime
    respond_by: datetime
    lane: Annotated[Lane, Known()]
    captured_at: datetime
    published_at: datetime
    patient_token: PatientToken | None = None
    image: ImageReference | None = None
    model_version: Name | None = None
    policy_version: Code
    policy_hash: Sha256
    reasons: tuple[Reason, ...] = ()
    recommendations: tuple[Text, ...] = ()
    warnings: tuple[Text, ...] = ()
    contraindications: tuple[Text, ...] = ()
    follow_up_s: Seconds | None = None
    protocols: tuple[ProtocolReference, ...] = ()
    disclaimer: Text
    synthetic: bool = False


@record
class AcknowledgementEvent(Record):
    """A person took up an escalation, or resolved it; `resolved_stage` is their own staging, the ground truth."""

    event_id: UUID
    case_id: UUID
    escalation_id: UUID
    action: Annotated[AcknowledgementAction, Known()]
    role: Name
    acknowledged_at: datetime
    resolved_stage: Annotated[StageClass | None, Known()] = None
    acknowledged_by: Token | None = None
