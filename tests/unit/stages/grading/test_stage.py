"""The grading stage on values: the decision, its audit, and what asks for people where it cannot decide."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from schemas.envelope.raw import RawRecord
from schemas.events import GradingEvent, GradingKind, InferenceEvent, Lane, ModelStatus, PipelineStage, Severity
from streams import topics
from streams.runtime.records import Input, InputProblem, Result
from streams.runtime.stage import NoState
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.policy.file import packaged_policy
from tests.unit.schemas.samples import INFERENCE_EVENT

STAGE = GradingStage(packaged_policy(), Quarantine(packaged_policy()))
RAW = RawRecord(topic=topics.INFERENCES, partition=0, offset=3, timestamp_ms=0, key=None, value=b"x")


def graded(inference: InferenceEvent) -> tuple[GradingEvent, Result]:
    record = Input(raw=RAW, event=inference, hash="a" * 64, state=NoState())
    (result,) = asyncio.run(STAGE.handle_batch([record]))
    (output,) = result.outputs
    assert isinstance(output.event, GradingEvent)
    return output.event, result


def test_a_finding_becomes_one_decision_with_its_reasons_and_its_policy_in_the_audit() -> None:
    event, result = graded(INFERENCE_EVENT)
    (output,) = result.outputs
    assert (output.topic, output.stage) == (topics.GRADINGS, PipelineStage.GRADING)
    assert output.outcome == f"graded:{event.severity.value}"
    assert output.attributes["policy_hash"] == packaged_policy().hash
    assert output.attributes["reasons"].split(",")[0] == event.reasons[0].code
    assert output.attributes["escalations"] == ",".join(request.type.value for request in event.escalations)
    assert (event.case_id, event.lane, event.image) == (
        INFERENCE_EVENT.case_id,
        INFERENCE_EVENT.lane,
        INFERENCE_EVENT.image,
    )


def test_the_same_finding_has_the_same_id_under_the_same_policy_only() -> None:
    first, _ = graded(INFERENCE_EVENT)
    assert graded(INFERENCE_EVENT)[0].event_id == first.event_id
    stricter = replace(packaged_policy(), version="9.9.9")
    other = GradingStage(stricter, Quarantine(stricter))
    (result,) = asyncio.run(other.handle_batch([Input(raw=RAW, event=INFERENCE_EVENT, hash="a" * 64, state=NoState())]))
    assert result.outputs[0].event.event_id != first.event_id


@pytest.mark.parametrize("status", [ModelStatus.ABSTAINED, ModelStatus.FAILED, ModelStatus.UNAVAILABLE])
def test_without_a_judgement_people_are_asked_and_no_class_is_given(status: ModelStatus) -> None:
    event, _ = graded(replace(INFERENCE_EVENT, model_status=status, findings=()))
    assert event.stage is None or event.stage.value == "unknown"
    assert event.severity is not Severity.ROUTINE_PREVENTION
    assert "human_review" in {request.type.value for request in event.escalations}


@pytest.mark.parametrize("event", [None, INFERENCE_EVENT])
def test_what_the_rules_could_not_be_asked_is_asked_of_people(event: InferenceEvent | None) -> None:
    asked = STAGE.on_problem(RAW, event, InputProblem(reason="undecodable", detail="no Avro"))
    (output,) = asked.outputs
    assert isinstance(output.event, GradingEvent)
    assert output.event.kind is GradingKind.QUARANTINE
    assert output.outcome == "quarantined:undecodable"
    assert output.event.lane is (Lane.ROUTINE if event is None else event.lane)
    assert "human_review" in {request.type.value for request in output.event.escalations}
