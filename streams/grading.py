"""Grading stage: what the model found, judged by the clinical rules with everything known of the patient."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from schemas import ids
from schemas.events import GradingKind, InferenceEvent, Lane, PipelineStage
from streams import metrics, topics
from streams.clinical.decide import decide
from streams.clinical.policy import Policy
from streams.gradings import grading_event
from streams.quarantine import Quarantine
from streams.runtime.encoding import freeze
from streams.runtime.records import Input, Output, Problem, RawInput, Result
from streams.runtime.stage import Stage


class GradingStage(Stage):
    """Inference events to grading events; pure rules, one decision a case."""

    name = "grading"
    inputs = (topics.INFERENCES,)
    accepts = (InferenceEvent,)
    pipeline_stage: ClassVar[PipelineStage] = PipelineStage.GRADING
    deduplicates = True
    patience_s = 5.0

    def __init__(self, policy: Policy, quarantine: Quarantine) -> None:
        self._policy = policy
        self._quarantine = quarantine

    async def handle(self, given: Input) -> Result:
        """The decision on one case."""
        inference: InferenceEvent = given.event
        decision = decide(
            self._policy,
            inference.findings,
            inference.context,
            model_status=inference.model_status,
            lane=inference.lane,
            has_patient_token=inference.patient_token is not None,
        )
        event = grading_event(
            decision,
            event_id=ids.derived_id(inference.event_id, "grading", f"{self._policy.version}+{self._policy.hash[:12]}"),
            case_id=inference.case_id,
            source_event_id=inference.event_id,
            kind=GradingKind.DECISION,
            lane=inference.lane,
            captured_at=inference.captured_at,
            published_at=inference.published_at,
            graded_at=datetime.now(UTC),
            patient_token=inference.patient_token,
            image=inference.image,
            model_version=inference.model_version,
            synthetic=inference.synthetic,
        )
        if not inference.synthetic:
            metrics.DECISIONS.labels(event.severity.value).inc()
        graded = Output(
            topic=topics.GRADINGS,
            event=event,
            outcome=f"graded:{event.severity.value}",
            stage=PipelineStage.GRADING,
            attributes=freeze(
                {
                    "policy_hash": event.policy_hash,
                    "reasons": ",".join(reason.code for reason in event.reasons)[:480],
                    "escalations": ",".join(request.type.value for request in event.escalations),
                }
            ),
        )
        return Result(outputs=(graded,))

    def on_problem(self, raw: RawInput, event: Any | None, problem: Problem, state: Any) -> Result:
        """A person decides what the rules could not be asked."""
        return self._quarantine.ask(raw, event, problem, Lane.ROUTINE)
