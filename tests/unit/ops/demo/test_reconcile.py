"""A demo that lost, doubled, invented or forgot to audit something must not say that all is well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.demo.follow import Story
from ops.demo.reconcile import Published, reconcile
from ops.demo.scenario import InputKind
from schemas.events import (
    AuditEntry,
    CaseEvent,
    EscalationEvent,
    EscalationType,
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
from schemas.events.carried import carried
from streams.clinical.clock import open_escalation
from streams.clinical.decide import decide
from streams.stages.grading.events import grading_event
from streams.stages.policy.file import packaged_policy

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


def served(status: ModelStatus = ModelStatus.JUDGED) -> tuple[Published, Story]:
    """A stage 4, or a case that the model gave no class, as it must come out."""
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
    judged = status is ModelStatus.JUDGED
    findings = (Finding(stage=StageClass.STAGE_4, confidence=0.9),) if judged else ()
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
        findings=findings,
        model_status=status,
    )
    grading = grading_event(
        decide(policy, findings, case.context, model_status=status),
        carried(inference),
        event_id=uuid4(),
        source_event_id=inference.event_id,
        kind=GradingKind.DECISION,
        graded_at=NOW,
        model_version=None,
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
    story.audit = [entry(case, PipelineStage.INGEST)]
    story.audit += [entry(inference, PipelineStage.INFERENCE), entry(grading, PipelineStage.GRADING)]
    story.audit += [entry(each, PipelineStage.ESCALATION) for each in escalations]
    return Published(case_id=case.case_id, event_id=case.event_id, kind=InputKind.CASE), story


def test_what_is_right_is_right() -> None:
    published, story = served()
    assert reconcile([published], {published.case_id: story}) == []


def test_a_copy_that_gave_one_set_of_outputs_is_right_and_one_that_was_not_seen_is_not() -> None:
    published, story = served()
    copy = Published(case_id=published.case_id, event_id=published.event_id, kind=InputKind.DUPLICATE)
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
    "a missing audit entry of the taking up": lambda story: story.audit.pop(0),
    "a dead letter's audit entry without the dead letter": lambda story: story.audit.append(
        entry(story.cases[0], PipelineStage.QUARANTINE)
    ),
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


def laid_aside() -> tuple[Published, Story]:
    """A broken file as it must come out: no finding, a dead letter, and people asked."""
    case, story = served(ModelStatus.ABSTAINED)
    story.inferences.clear()
    story.gradings[0] = replace(story.gradings[0], kind=GradingKind.QUARANTINE)
    story.dead_letters = 1
    story.audit[:2] = [entry(story.cases[0], PipelineStage.QUARANTINE)]
    return replace(case, kind=InputKind.BROKEN), story


def test_a_broken_file_must_be_a_dead_letter_that_people_were_asked_about() -> None:
    broken, story = laid_aside()
    assert reconcile([broken], {broken.case_id: story}) == []
    asked = [each for each in story.gradings[0].escalations if each.type is not EscalationType.HUMAN_REVIEW]
    story.gradings[0] = replace(story.gradings[0], escalations=tuple(asked))
    story.escalations = [each for each in story.escalations if each.type is not EscalationType.HUMAN_REVIEW]
    assert reconcile([broken], {broken.case_id: story}) == [
        f"case {broken.case_id}: human_review should have been asked for"
    ]


def test_a_broken_file_that_was_given_a_class_is_found() -> None:
    published, story = served()
    broken = replace(published, kind=InputKind.BROKEN)
    assert f"case {broken.case_id}: a broken file was given a class" in reconcile([broken], {broken.case_id: story})


def test_a_case_that_was_laid_aside_without_being_broken_is_found() -> None:
    broken, story = laid_aside()
    assert reconcile([replace(broken, kind=InputKind.CASE)], {broken.case_id: story}) != []


@pytest.mark.parametrize("kind", [InputKind.CASE, InputKind.BROKEN])
@pytest.mark.parametrize("status", [ModelStatus.ABSTAINED, ModelStatus.FAILED, ModelStatus.UNAVAILABLE])
def test_without_a_class_from_the_model_people_must_have_been_asked(status: ModelStatus, kind: InputKind) -> None:
    published, story = served(status)
    published = replace(published, kind=kind)
    assert reconcile([published], {published.case_id: story}) == []
    story.gradings[0] = replace(story.gradings[0], escalations=())
    story.escalations.clear()
    assert reconcile([published], {published.case_id: story}) != []


def test_an_emergency_that_reached_nobody_is_found() -> None:
    published, story = served()
    story.gradings[0] = replace(story.gradings[0], escalations=())
    story.escalations.clear()
    assert reconcile([published], {published.case_id: story}) == []
    emergency = replace(published, emergency=True)
    assert reconcile([emergency], {published.case_id: story}) == [
        f"case {published.case_id}: an emergency reached nobody"
    ]


def test_an_escalation_that_was_raised_because_nobody_answered_is_no_copy() -> None:
    published, story = served()
    raised = replace(story.escalations[0], event_id=uuid4(), level=1)
    story.escalations.append(raised)
    story.audit.append(entry(raised, PipelineStage.ESCALATION))
    assert reconcile([published], {published.case_id: story}) == []
    story.escalations.append(replace(raised, event_id=uuid4()))
    story.audit.append(entry(story.escalations[-1], PipelineStage.ESCALATION))
    assert reconcile([published], {published.case_id: story}) != []


@given(
    count=st.integers(1, 6),
    at=st.integers(0, 5),
    fault=st.sampled_from(sorted(FAULTS)),
    order=st.randoms(use_true_random=False),
)
def test_one_fault_among_many_cases_is_found_and_named_with_its_case(
    count: int, at: int, fault: str, order: Random
) -> None:
    cases = [served() for _ in range(count)]
    stories = {published.case_id: story for published, story in cases}
    inputs = [published for published, _ in cases]
    order.shuffle(inputs)
    assert reconcile(inputs, stories) == []
    hit, story = cases[at % count]
    FAULTS[fault](story)
    wrong = reconcile(inputs, stories)
    assert wrong
    assert all(str(hit.case_id) in line for line in wrong)
