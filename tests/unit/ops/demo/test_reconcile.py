"""A demo that lost, doubled, invented or forgot to audit something must not say that all is well."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from ops.demo.follow import Story
from ops.demo.reconcile import Published, reconcile
from ops.demo.scenario import Kind
from schemas.events import (
    AuditEntry,
    CaseEvent,
    EscalationEvent,
    Finding,
    GradingKind,
    ImageReference,
    InferenceEvent,
    Lane,
    ModelStatus,
    PatientContext,
    PipelineStage,
    StageClass,
)
from streams.clinical.clock import open_escalation
from streams.clinical.decide import decide
from streams.gradings import grading_event
from streams.policy_file import packaged_policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
IMAGE = ImageReference(uri="file:///x", sha256="0" * 64, size_bytes=1, media_type="image/jpeg")
Stories = dict[UUID, Story]


def entry(event: object, stage: PipelineStage) -> AuditEntry:
    return AuditEntry(
        event_id=event.event_id,  # type: ignore[attr-defined]
        case_id=event.case_id,  # type: ignore[attr-defined]
        stage=stage,
        decided_at=NOW,
        topic="t",
        outcome="o",
        output_hash="0" * 64,
    )


def served() -> tuple[Published, Story]:
    """A stage 4 as it must come out."""
    policy = packaged_policy()
    case = CaseEvent(
        event_id=uuid4(),
        case_id=uuid4(),
        lane=Lane.ROUTINE,
        captured_at=NOW,
        published_at=NOW,
        image=IMAGE,
        context=PatientContext(),
        producer="test",
    )
    finding = Finding(stage=StageClass.STAGE_4, confidence=0.9)
    inference = InferenceEvent(
        event_id=uuid4(),
        case_id=case.case_id,
        source_event_id=case.event_id,
        lane=case.lane,
        captured_at=NOW,
        published_at=NOW,
        taken_up_at=NOW,
        inferred_at=NOW,
        image=IMAGE,
        context=case.context,
        findings=(finding,),
        model_status=ModelStatus.JUDGED,
    )
    grading = grading_event(
        decide(policy, (finding,), case.context),
        event_id=uuid4(),
        case_id=case.case_id,
        source_event_id=inference.event_id,
        kind=GradingKind.DECISION,
        lane=case.lane,
        captured_at=NOW,
        published_at=NOW,
        graded_at=NOW,
    )
    escalations: list[EscalationEvent] = [
        open_escalation(
            request,
            grading,
            escalation_id=uuid4(),
            event_id=lambda _id, _level: uuid4(),
            ladder=("nurse_specialist",),
            disclaimer=policy.disclaimer,
            raised_at=NOW,
        ).event
        for request in grading.escalations
    ]
    story = Story(cases=[case], inferences=[inference], gradings=[grading], escalations=escalations)
    story.audit = [entry(inference, PipelineStage.INFERENCE), entry(grading, PipelineStage.GRADING)]
    story.audit += [entry(each, PipelineStage.ESCALATION) for each in escalations]
    return Published(case_id=case.case_id, event_id=case.event_id, kind=Kind.CASE), story


def test_what_is_right_is_right() -> None:
    published, story = served()
    assert reconcile([published], {published.case_id: story}) == []


def test_a_copy_that_gave_one_set_of_outputs_is_right_and_one_that_was_not_seen_is_not() -> None:
    published, story = served()
    copy = Published(case_id=published.case_id, event_id=published.event_id, kind=Kind.DUPLICATE)
    assert reconcile([published, copy], {published.case_id: story}) != []
    story.cases.append(story.cases[0])
    assert reconcile([published, copy], {published.case_id: story}) == []


FAULTS: dict[str, Callable[[Story], object]] = {
    "a lost inference": lambda story: story.inferences.pop(),
    "a doubled inference": lambda story: story.inferences.append(story.inferences[0]),
    "a lost grading": lambda story: story.gradings.pop(),
    "a doubled grading": lambda story: story.gradings.append(story.gradings[0]),
    "a lost escalation": lambda story: story.escalations.pop(0),
    "a doubled escalation": lambda story: story.escalations.append(story.escalations[0]),
    "a missing audit entry": lambda story: story.audit.pop(),
    "a doubled audit entry": lambda story: story.audit.append(story.audit[0]),
    "a dead letter": lambda story: setattr(story, "dead_letters", 1),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_is_found(fault: Callable[[Story], object]) -> None:
    published, story = served()
    fault(story)
    assert reconcile([published], {published.case_id: story}) != []


def test_a_case_without_any_outcome_is_found() -> None:
    published, _ = served()
    assert reconcile([published], {}) != []


def test_a_case_that_nobody_published_is_found() -> None:
    published, story = served()
    invented, another = served()
    assert reconcile([published], {published.case_id: story, invented.case_id: another}) != []


def test_a_broken_file_must_be_a_dead_letter_that_people_were_asked_about() -> None:
    published, story = served()
    broken = Published(case_id=published.case_id, event_id=published.event_id, kind=Kind.BROKEN)
    assert reconcile([broken], {broken.case_id: story}) != []
    story.inferences.clear()
    story.dead_letters = 1
    assert reconcile([broken], {broken.case_id: story}) == []
