"""Computes the events that the pipeline must publish for an input: the reference that the verifier compares with.

Pure functions of the inputs. Only the times that the pipeline takes from its clock are taken from its own records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from inference.findings import Finding as ModelFinding
from inference.findings import ImageProblem
from schemas import ids
from schemas.envelope.dead_letter import event_id_of
from schemas.envelope.raw import RawRecord
from schemas.events import (
    CaseEvent,
    Finding,
    GradingEvent,
    GradingKind,
    InferenceEvent,
    ModelStatus,
    Region,
    StageClass,
)
from schemas.events.carried import carried
from streams.clinical.decide import decide
from streams.clinical.policy import Policy
from streams.runtime.records import InputProblem
from streams.stages.grading.events import grading_event
from streams.stages.grading.quarantine import Quarantine
from streams.topics import CASES

#: SHA-256 (hex) of a picture → what the model says about it.
Predict = Callable[[str], ModelFinding | ImageProblem]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The expected events under one model version and one policy."""

    predict: Predict
    model_version: str
    policy: Policy

    def inference_id(self, case: CaseEvent) -> UUID:
        """Id of the inference on a case."""
        return ids.derived_id(case.event_id, "inference", self.model_version)

    def grading_id(self, inference_id: UUID) -> UUID:
        """Id of the decision on an inference."""
        return ids.derived_id(inference_id, "grading", f"{self.policy.version}+{self.policy.hash[:12]}")

    def inference(self, case: CaseEvent, got: InferenceEvent) -> InferenceEvent:
        """The inference on a case; clock times and the heat map are those of `got`."""
        said = self.predict(case.image.sha256)
        assert isinstance(said, ModelFinding), "a picture that is none goes to the dead letters"
        return InferenceEvent(
            event_id=self.inference_id(case),
            source_event_id=case.event_id,
            taken_up_at=got.taken_up_at,
            inferred_at=got.inferred_at,
            context=case.context,
            findings=(_finding(said),),
            model_version=self.model_version,
            model_status=ModelStatus.ABSTAINED if said.stage is None else ModelStatus.JUDGED,
            heat_map=got.heat_map,
            **carried(case),
        )

    def grading(self, inference: InferenceEvent, got: GradingEvent) -> GradingEvent:
        """The decision on an inference, made at `got.graded_at`."""
        decision = decide(
            self.policy,
            inference.findings,
            inference.context,
            model_status=inference.model_status,
            lane=inference.lane,
            has_patient_token=inference.patient_token is not None,
        )
        return grading_event(
            decision,
            carried(inference),
            event_id=self.grading_id(inference.event_id),
            source_event_id=inference.event_id,
            kind=GradingKind.DECISION,
            graded_at=got.graded_at,
            model_version=inference.model_version,
        )

    def quarantine_id(self, topic: str, partition: int, offset: int) -> UUID:
        """Id of the grading that asks people to look at the record there."""
        raw = RawRecord(topic=topic, partition=partition, offset=offset, timestamp_ms=0, key=None, value=None)
        return ids.derived_id(event_id_of(raw), "quarantine", self.policy.version)

    def quarantine(self, raw: RawRecord, case: CaseEvent | None, reason: str, got: GradingEvent | None) -> GradingEvent:
        """The grading that asks people to look at an input which became a dead letter."""
        lane = next(lane for lane, topic in CASES.items() if topic == raw.topic)
        asked = Quarantine(self.policy).grading(raw, case, InputProblem(reason=reason, detail=""), lane)
        return asked if got is None else replace(asked, graded_at=got.graded_at)


def _finding(said: ModelFinding) -> Finding:
    region = said.region
    return Finding(
        stage=None if said.stage is None else StageClass(said.stage),
        confidence=said.confidence,
        probabilities=dict(said.probabilities),
        abstained=said.abstained,
        quality=dict(said.quality),
        region=None if region is None else Region(x=region.x, y=region.y, w=region.w, h=region.h),
    )
