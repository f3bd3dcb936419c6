"""Compares every input of the demo with what the pipeline published for it. Pure functions of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from ops.demo.follow import Story
from ops.demo.scenario import InputKind
from schemas.events import EscalationType, GradingEvent, GradingKind, InferenceEvent, ModelStatus, PipelineStage

#: The escalations that must be asked for when the model gave no class.
ASKED_WITHOUT_CLASS: Mapping[ModelStatus, frozenset[EscalationType]] = {
    ModelStatus.JUDGED: frozenset(),
    ModelStatus.ABSTAINED: frozenset({EscalationType.HUMAN_REVIEW}),
    ModelStatus.FAILED: frozenset({EscalationType.HUMAN_REVIEW, EscalationType.SYSTEM_ERROR}),
    ModelStatus.UNAVAILABLE: frozenset({EscalationType.HUMAN_REVIEW, EscalationType.SYSTEM_ERROR}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """An input that the broker confirmed: its ids and its kind."""

    case_id: UUID
    event_id: UUID
    kind: InputKind
    emergency: bool = False


def complete(published: Iterable[Published], stories: Mapping[UUID, Story]) -> bool:
    """Whether every input is graded, escalated where that was asked for, and audited."""
    return not reconcile(published, stories)


def reconcile(published: Iterable[Published], stories: Mapping[UUID, Story]) -> list[str]:
    """The differences, one line each; empty when every input has exactly its outcome."""
    inputs = list(published)
    originals = {each.case_id: each for each in inputs if each.kind is not InputKind.DUPLICATE}
    copies = Counter(each.case_id for each in inputs)
    wrong = [f"case {case_id}: nobody published it" for case_id in stories if case_id not in originals]
    for case_id, original in originals.items():
        story = stories.get(case_id, Story())
        lines = [
            *_exactly(copies[case_id], len(story.cases), "case event"),
            *_decided(original, story),
            *_asked(original, story),
            *_audited(story),
        ]
        wrong.extend(f"case {case_id}: {line}" for line in lines)
    return wrong


def _decided(original: Published, story: Story) -> list[str]:
    """Each case is judged once or, where its file is no picture, becomes one dead letter; it is graded once."""
    # Without a model nobody notices that the file is broken: the case goes to people like every other.
    dead_letter = original.kind is InputKind.BROKEN and not story.inferences
    wrong = [
        *_exactly(0 if dead_letter else 1, len(story.inferences), "inference"),
        *_exactly(1, len(story.gradings), "grading"),
        *_exactly(1 if dead_letter else 0, story.dead_letters, "dead letter"),
    ]
    kind = GradingKind.QUARANTINE if dead_letter else GradingKind.DECISION
    wrong += [f"its grading is a {each.kind.value}, not a {kind.value}" for each in story.gradings if each.kind != kind]
    if original.kind is InputKind.BROKEN and any(each.model_status is ModelStatus.JUDGED for each in story.inferences):
        wrong.append("a broken file was given a class")
    return wrong


def _asked(original: Published, story: Story) -> list[str]:
    """Every escalation that a decision asks for was raised once; a case that the model could not judge asks for one."""
    demanded = {request.type for grading in story.gradings for request in grading.escalations}
    needed = frozenset[EscalationType]().union(*map(_needed, story.inferences))
    if original.kind is InputKind.BROKEN:
        needed |= {EscalationType.HUMAN_REVIEW}
    wrong = [f"{kind.value} should have been asked for" for kind in sorted(needed - demanded)]
    if original.emergency and not story.escalations:
        wrong.append("an emergency reached nobody")
    for grading in story.gradings:
        wrong += _escalated(grading, story)
    levels = Counter((escalation.escalation_id, escalation.level) for escalation in story.escalations)
    return wrong + [f"level {level} of an escalation came {n} times" for (_, level), n in levels.items() if n > 1]


def _needed(inference: InferenceEvent) -> frozenset[EscalationType]:
    return ASKED_WITHOUT_CLASS.get(inference.model_status, ASKED_WITHOUT_CLASS[ModelStatus.FAILED])


def _escalated(grading: GradingEvent, story: Story) -> list[str]:
    asked = Counter(request.type for request in grading.escalations)
    came = Counter(escalation.type for escalation in story.escalations if escalation.level == 0)
    wrong = [f"{kind.value} was asked for and did not come" for kind in asked - came]
    return wrong + [f"{kind.value} came and was not asked for, or twice" for kind in came - asked]


def _audited(story: Story) -> list[str]:
    """Every record has one audit entry, and so has the taking up of the case."""
    entries = Counter((entry.stage, entry.event_id) for entry in story.audit)
    wrong = [f"two audit entries under one key ({stage.value})" for (stage, _), n in entries.items() if n > 1]
    # An input that became a dead letter was never taken up; its audit entry is that of the dead letter.
    taken_up = story.cases[:1] if story.inferences else []
    for stage, events in (
        (PipelineStage.INGEST, taken_up),
        (PipelineStage.INFERENCE, story.inferences),
        (PipelineStage.GRADING, story.gradings),
        (PipelineStage.ESCALATION, story.escalations),
    ):
        wrong += [
            f"{stage.value} {each.event_id} is not audited" for each in events if (stage, each.event_id) not in entries
        ]
    audited = sum(entry.stage is PipelineStage.QUARANTINE for entry in story.audit)
    return wrong + _exactly(story.dead_letters, audited, "audit entry of a dead letter")


def _exactly(expected: int, found: int, what: str) -> list[str]:
    return [] if expected == found else [f"{found} × {what}, not {expected}"]
