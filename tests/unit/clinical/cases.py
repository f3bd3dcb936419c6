"""Short ways to ask for a decision, shared by the tests of the rules."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.events import EscalationType, Lane, ModelStatus
from schemas.events import StageClass as Stage
from streams.clinical.context import read_context
from streams.clinical.decide import decide
from streams.clinical.decision import Decision
from streams.clinical.lesions import RawFinding
from streams.stages.policy.file import packaged_policy

MINUTE, HOUR = 60, 3600


def finding(
    stage: str | None, confidence: float | None = 0.9, probabilities: Mapping[str, float] | None = None
) -> RawFinding:
    return RawFinding(
        stage=None if stage is None else Stage(stage), confidence=confidence, probabilities=probabilities or {}
    )


def decision(
    stage: str | None,
    confidence: float | None = 0.9,
    context: Mapping[str, object] | None = None,
    *,
    probabilities: Mapping[str, float] | None = None,
    lane: str = "routine",
    has_patient_token: bool = True,
    model_status: str = "judged",
) -> Decision:
    return decide(
        packaged_policy(),
        [finding(stage, confidence, probabilities)],
        read_context(context),
        lane=Lane(lane),
        has_patient_token=has_patient_token,
        model_status=ModelStatus(model_status),
    )


def asked(given: Decision) -> dict[str, int]:
    """Escalation type → seconds to respond."""
    return {request.type.value: request.respond_within_s for request in given.escalations}


def reasons(given: Decision) -> list[str]:
    return [reason.code for reason in given.reasons]


def reasons_of(given: Decision, kind: str) -> tuple[str, ...]:
    return next(request.reasons for request in given.escalations if request.type is EscalationType(kind))


def codes(texts: tuple[object, ...]) -> list[str]:
    return [text.code for text in texts]  # type: ignore[attr-defined]
