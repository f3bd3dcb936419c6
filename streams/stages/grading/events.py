"""A grading event from a decision, for cases that were judged and for those that could not be."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas import ids
from schemas.events import GradingEvent, GradingKind, ImageReference, InferenceEvent, Lane
from streams.clinical.decide import decide
from streams.clinical.decision import Decision
from streams.clinical.policy import Policy


def grading_event(
    decision: Decision,
    *,
    event_id: UUID,
    case_id: UUID,
    source_event_id: UUID,
    kind: GradingKind,
    lane: Lane,
    captured_at: datetime,
    published_at: datetime,
    graded_at: datetime,
    patient_token: str | None = None,
    image: ImageReference | None = None,
    model_version: str | None = None,
    synthetic: bool = False,
) -> GradingEvent:
    """The event that carries `decision` to the escalation stage and to whoever reads gradings."""
    return GradingEvent(
        event_id=event_id,
        case_id=case_id,
        source_event_id=source_event_id,
        kind=kind,
        lane=lane,
        captured_at=captured_at,
        published_at=published_at,
        graded_at=graded_at,
        patient_token=patient_token,
        image=image,
        severity=decision.severity,
        stage=decision.stage,
        confidence=decision.confidence,
        mucosal=decision.mucosal,
        model_version=model_version,
        policy_version=decision.policy_version,
        policy_hash=decision.policy_hash,
        reasons=decision.reasons,
        recommendations=decision.recommendations,
        warnings=decision.warnings,
        contraindications=decision.contraindications,
        notifications=decision.notifications,
        escalations=decision.escalations,
        follow_up_s=decision.follow_up_s,
        protocols=decision.protocols,
        synthetic=synthetic,
    )


def graded(policy: Policy, inference: InferenceEvent, graded_at: datetime) -> GradingEvent:
    """The decision of the rules on what the model found."""
    decision = decide(
        policy,
        inference.findings,
        inference.context,
        model_status=inference.model_status,
        lane=inference.lane,
        has_patient_token=inference.patient_token is not None,
    )
    return grading_event(
        decision,
        event_id=ids.derived_id(inference.event_id, "grading", f"{policy.version}+{policy.hash[:12]}"),
        case_id=inference.case_id,
        source_event_id=inference.event_id,
        kind=GradingKind.DECISION,
        lane=inference.lane,
        captured_at=inference.captured_at,
        published_at=inference.published_at,
        graded_at=graded_at,
        patient_token=inference.patient_token,
        image=inference.image,
        model_version=inference.model_version,
        synthetic=inference.synthetic,
    )
