"""Grading stage: what the model found, judged by the clinical rules with everything known of the patient."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.envelope.audit import audit_attributes
from schemas.envelope.raw import RawRecord
from schemas.events import InferenceEvent, Lane, PipelineStage
from streams import metrics, topics
from streams.clinical.policy import Policy
from streams.runtime.records import Input, InputProblem, Output, Result
from streams.runtime.stage import NoState, StatelessStage
from streams.stages.grading.events import graded
from streams.stages.grading.quarantine import Quarantine


class GradingStage(StatelessStage[InferenceEvent]):
    """Inference events to grading events; pure rules, one decision per case."""

    name = "grading"
    inputs = (topics.INFERENCES,)
    accepts = (InferenceEvent,)
    deduplicates = True
    patience_s = 5.0

    def __init__(self, policy: Policy, quarantine: Quarantine) -> None:
        self._policy = policy
        self._quarantine = quarantine

    async def handle(self, record: Input[InferenceEvent, NoState]) -> Result:
        """The decision on one case."""
        inference = record.event
        event = graded(self._policy, inference, datetime.now(UTC))
        if not inference.synthetic:
            metrics.DECISIONS.labels(event.severity.value).inc()
        output = Output(
            topic=topics.GRADINGS,
            event=event,
            outcome=f"graded:{event.severity.value}",
            stage=PipelineStage.GRADING,
            attributes=audit_attributes(
                {
                    "policy_hash": event.policy_hash,
                    "reasons": ",".join(reason.code for reason in event.reasons)[:480],
                    "escalations": ",".join(request.type.value for request in event.escalations),
                }
            ),
        )
        return Result(outputs=(output,))

    def on_problem(self, raw: RawRecord, event: InferenceEvent | None, problem: InputProblem) -> Result:
        """A person decides what the rules could not be asked."""
        return self._quarantine.ask(raw, event, problem, Lane.ROUTINE)
