"""What the clinical rules decided, with every reason, in both languages of the ward."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from schemas.constraints import Code, Known, Length, Name, PatientToken, Probability, Seconds, Sha256
from schemas.events.case import ImageReference
from schemas.events.codes import EscalationType, GradingKind, Lane, ReviewPriority, Severity, StageClass
from schemas.record import Record, record

Sentence = Annotated[str, Length(1, 2000)]


@record
class Text(Record):
    """A sentence a clinician reads, in Spanish and English, under a stable code."""

    code: Code
    es: Sentence
    en: Sentence


@record
class Reason(Record):
    """Why something was decided: the rule that matched, and the authority it rests on."""

    code: Code
    rule_id: Code
    source: Code
    es: Sentence
    en: Sentence


@record
class ProtocolReference(Record):
    """A protocol that supports a decision."""

    id: Code
    version: Code


@record
class EscalationRequest(Record):
    """A demand that people look: who, over which channels, how soon. `reasons` are codes of the decision's reasons."""

    type: Annotated[EscalationType, Known()]
    roles: tuple[Code, ...]
    channels: tuple[Code, ...]
    review_priority: Annotated[ReviewPriority, Known()]
    respond_within_s: Seconds
    reescalate_every_s: Seconds
    reasons: tuple[Code, ...] = ()
    #: None in what was written before there was such a time.
    resolve_within_s: Seconds | None = None


@record
class GradingEvent(Record):
    """The decision on one case, or (`kind` quarantine) the request to a person for a case that could not be judged."""

    event_id: UUID
    case_id: UUID
    source_event_id: UUID
    kind: Annotated[GradingKind, Known()]
    lane: Annotated[Lane, Known()]
    captured_at: datetime
    published_at: datetime
    graded_at: datetime
    patient_token: PatientToken | None = None
    image: ImageReference | None = None
    severity: Annotated[Severity, Known()]
    stage: StageClass | None = None
    confidence: Probability | None = None
    mucosal: bool | None = None
    model_version: Name | None = None
    policy_version: Code
    policy_hash: Sha256
    reasons: tuple[Reason, ...] = ()
    recommendations: tuple[Text, ...] = ()
    warnings: tuple[Text, ...] = ()
    contraindications: tuple[Text, ...] = ()
    notifications: tuple[Text, ...] = ()
    escalations: tuple[EscalationRequest, ...] = ()
    follow_up_s: Seconds | None = None
    protocols: tuple[ProtocolReference, ...] = ()
    synthetic: bool = False
