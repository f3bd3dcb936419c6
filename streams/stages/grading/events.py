"""A grading event from a decision, for cases that were judged and for those that could not be."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from schemas import ids
from schemas.events import GradingEvent, GradingKind, InferenceEvent
from schemas.events.carried import carried, decided
from streams.clinical.decide import decide
from streams.clinical.decision import Decision
from streams.clinical.policy import Policy


def grading_event(
    decision: Decision,
    of_case: Mapping[str, Any],
    *,
    event_id: UUID,
    source_event_id: UUID,
    kind: GradingKind,
    graded_at: datetime,
    model_version: str | None,
) -> GradingEvent:
    """The event that carries `decision` to the escalation stage and to whoever reads gradings.

    `of_case` are the fields that it repeats of the case: `schemas.events.carried`.
    """
    return GradingEvent(
        event_id=event_id,
        source_event_id=source_event_id,
        kind=kind,
        graded_at=graded_at,
        mucosal=decision.mucosal,
        model_version=model_version,
        reasons=decision.reasons,
        notifications=decision.notifications,
        escalations=decision.escalations,
        **of_case,
        **decided(decision),
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
        carried(inference),
        event_id=ids.derived_id(inference.event_id, "grading", f"{policy.version}+{policy.hash[:12]}"),
        source_event_id=inference.event_id,
        kind=GradingKind.DECISION,
        graded_at=graded_at,
        model_version=inference.model_version,
    )
