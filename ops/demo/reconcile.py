"""Every input against its outcome: pure, so that a fault can be planted and must be found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from ops.demo.follow import Story
from ops.demo.scenario import Kind
from schemas.events import EscalationType, GradingEvent, GradingKind, PipelineStage


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An input that the broker has: its ids and what it was."""

    case_id: UUID
    event_id: UUID
    kind: Kind


def complete(published: Iterable[Published], stories: Mapping[UUID, Story]) -> bool:
    """Whether every input has come to its end: graded, escalated where that was asked for, audited."""
    return not reconcile(published, stories)


def reconcile(published: Iterable[Published], stories: Mapping[UUID, Story]) -> list[str]:
    """What does not add up, one line each; empty when every input has exactly its outcome."""
    inputs = list(published)
    kinds = {each.case_id: each.kind for each in inputs if each.kind is not Kind.DUPLICATE}
    copies = Counter(each.case_id for each in inputs)
    wrong = [f"case {case_id}: nobody published it" for case_id in stories if case_id not in kinds]
    for case_id, kind in kinds.items():
        story = stories.get(case_id, Story())
        check = _broken if kind is Kind.BROKEN else _case
        wrong.extend(f"case {case_id}: {line}" for line in (*check(story), *_common(story, copies[case_id])))
    return wrong


def _case(story: Story) -> list[str]:
    wrong = [
        *_exactly(1, len(story.inferences), "inference"),
        *_exactly(1, len(story.gradings), "grading"),
        *_exactly(0, story.dead_letters, "dead letter"),
    ]
    if any(grading.kind is not GradingKind.DECISION for grading in story.gradings):
        wrong.append("it was quarantined")
    return wrong


def _broken(story: Story) -> list[str]:
    wrong = [
        *_exactly(0, len(story.inferences), "inference"),
        *_exactly(1, len(story.gradings), "grading"),
        *_exactly(1, story.dead_letters, "dead letter"),
    ]
    asked = {request.type for grading in story.gradings for request in grading.escalations}
    if story.gradings and EscalationType.HUMAN_REVIEW not in asked:
        wrong.append("no person was asked about a broken file")
    return wrong


def _common(story: Story, copies: int) -> list[str]:
    wrong = _exactly(copies, len(story.cases), "case event")
    for grading in story.gradings:
        wrong.extend(_escalated(grading, story))
    audited = Counter((entry.stage, entry.event_id) for entry in story.audit)
    wrong.extend(f"two audit entries under one key ({stage.value})" for (stage, _), n in audited.items() if n > 1)
    for stage, events in (
        (PipelineStage.INFERENCE, story.inferences),
        (PipelineStage.GRADING, story.gradings),
        (PipelineStage.ESCALATION, story.escalations),
    ):
        for event in events:
            if (stage, event.event_id) not in audited:
                wrong.append(f"{stage.value} {event.event_id} is not audited")
    return wrong


def _escalated(grading: GradingEvent, story: Story) -> list[str]:
    asked = Counter(request.type for request in grading.escalations)
    came = Counter(escalation.type for escalation in story.escalations if escalation.level == 0)
    wrong = [f"{kind.value} was asked for and did not come" for kind in asked - came]
    return wrong + [f"{kind.value} came and was not asked for, or twice" for kind in came - asked]


def _exactly(expected: int, found: int, what: str) -> list[str]:
    return [] if expected == found else [f"{found} × {what}, not {expected}"]
