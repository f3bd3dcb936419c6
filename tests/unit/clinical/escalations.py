"""Gradings and escalations to run the clock on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from schemas import ids
from schemas.events import (
    AcknowledgementAction,
    AcknowledgementEvent,
    EscalationRequest,
    EscalationType,
    GradingEvent,
    GradingKind,
    ImageReference,
    Lane,
    StageClass,
)
from streams.clinical.acknowledgements import AckOutcome, on_acknowledgement
from streams.clinical.clock import open_escalation
from streams.clinical.decision import Decision
from streams.clinical.escalations import OpenEscalation
from streams.stages.policy.file import packaged_policy
from tests.unit.clinical.cases import decision

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
LADDER = ("nurse_specialist", "wound_care_specialist", "attending_physician", "clinical_supervisor")
#: Who answers.
SOMEBODY = "person-" + "0" * 32
#: The reason of what was taken up and not resolved in time.
UNRESOLVED = packaged_policy().unresolved
NAMES = UUID("3b6a7c54-1111-5222-8333-444455556666")


def grading(made: Decision, number: int = 0, case: int = 0) -> GradingEvent:
    """The grading event of a decision; `number` tells gradings of the same case apart."""
    return GradingEvent(
        event_id=uuid5(NAMES, f"grading {case} {number}"),
        case_id=uuid5(NAMES, f"case {case}"),
        source_event_id=uuid5(NAMES, f"inference {case} {number}"),
        kind=GradingKind.DECISION,
        lane=Lane.ROUTINE,
        captured_at=START,
        published_at=START,
        graded_at=START,
        patient_token="vpt1-00000000-" + "0" * 64,
        image=ImageReference(uri="file:///store/a.jpg", sha256="0" * 64, size_bytes=10, media_type="image/jpeg"),
        severity=made.severity,
        stage=made.stage,
        confidence=made.confidence,
        mucosal=made.mucosal,
        model_version="m1",
        policy_version=made.policy_version,
        policy_hash=made.policy_hash,
        reasons=made.reasons,
        recommendations=made.recommendations,
        warnings=made.warnings,
        contraindications=made.contraindications,
        notifications=made.notifications,
        escalations=made.escalations,
        follow_up_s=made.follow_up_s,
        protocols=made.protocols,
    )


def opened(
    made: Decision | None = None,
    kind: str = "human_review",
    *,
    at: datetime = START,
    number: int = 0,
    case: int = 0,
) -> OpenEscalation:
    """The escalation of that type which the decision asks for; by default the human review of a stage 3."""
    graded = grading(made or decision("stage_3"), number, case)
    request = next(request for request in graded.escalations if request.type is EscalationType(kind))
    return open_request(request, graded, at)


def open_request(request: EscalationRequest, graded: GradingEvent, at: datetime) -> OpenEscalation:
    return open_escalation(
        request,
        graded,
        escalation_id=ids.escalation_id(graded.event_id, request.type),
        event_id=ids.escalation_event_id,
        ladder=packaged_policy().escalations[request.type].ladder,
        disclaimer=packaged_policy().disclaimer,
        raised_at=at,
    )


def judged(state: OpenEscalation | None, ack: AcknowledgementEvent) -> AckOutcome:
    """What the answer does when the broker's time for it is the answer's own."""
    return on_acknowledgement(state, ack, ack.acknowledged_at)


def answer(
    state: OpenEscalation,
    role: str,
    *,
    at: datetime = START + timedelta(minutes=1),
    action: str = "acknowledge",
    stage: StageClass | None = None,
    number: int = 0,
) -> AcknowledgementEvent:
    return AcknowledgementEvent(
        event_id=uuid5(NAMES, f"ack {number}"),
        case_id=state.event.case_id,
        escalation_id=state.escalation_id,
        action=AcknowledgementAction(action),
        role=role,
        acknowledged_at=at,
        resolved_stage=stage,
        acknowledged_by=SOMEBODY,
    )
