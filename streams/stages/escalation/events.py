"""The escalation that a grading asks for, at level 0."""

from __future__ import annotations

from schemas import ids
from schemas.events import EscalationRequest, GradingEvent
from streams.clinical.clock import open_escalation
from streams.clinical.escalations import OpenEscalation
from streams.clinical.policy import Policy


def requested_escalation(policy: Policy, grading: GradingEvent, request: EscalationRequest) -> OpenEscalation:
    """The escalation of one of the grading's requests; its time to answer runs from the grading."""
    return open_escalation(
        request,
        grading,
        escalation_id=ids.escalation_id(grading.event_id, request.type.value),
        event_id=ids.escalation_event_id,
        ladder=policy.escalations[request.type].ladder,
        disclaimer=policy.disclaimer,
        raised_at=grading.graded_at,
    )
