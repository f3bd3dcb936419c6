"""What a person sees of the demo: progress while it runs, escalations as they come, and what became of every input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from rich.console import Console, Group
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ops.demo.follow import Story
from ops.demo.reconcile import Published
from ops.demo.scenario import Kind, Planned
from schemas.events import EscalationEvent, EscalationType, ModelStatus, Severity

_COLOURS = {
    Severity.EMERGENCY: "bold red",
    Severity.URGENT: "red",
    Severity.SPECIALIZED_EVALUATION: "magenta",
    Severity.STRICT_MONITORING: "magenta",
    Severity.IMPORTANT: "yellow",
    Severity.ATTENTION: "cyan",
    Severity.ROUTINE_PREVENTION: "green",
}
#: Short names, so that a line holds in 80 columns.
_SHORT = {
    EscalationType.EMERGENCY: "emergency",
    EscalationType.SPECIALIST_REVIEW: "specialist",
    EscalationType.HUMAN_REVIEW: "human",
    EscalationType.HIGH_RISK: "high risk",
    EscalationType.SYSTEM_ERROR: "system",
}
#: Escalations shown while the demo runs; all of them are in the summary.
SHOWN = 6


def progress(stories: Mapping[UUID, Story], expected: int, publishing: int) -> Group:
    """Bars of the stages with how many wait before each, and the newest escalations."""
    published = len(stories)
    inferred = sum(bool(story.inferences or story.dead_letters) for story in stories.values())
    graded = sum(bool(story.gradings) for story in stories.values())
    asking = [story for story in stories.values() if any(grading.escalations for grading in story.gradings)]
    escalated = sum(bool(story.escalations) for story in asking)
    table = Table.grid(padding=(0, 2))
    rows = (
        ("published", publishing, expected, 0),
        ("inferred", inferred, expected, published - inferred),
        ("graded", graded, expected, inferred - graded),
        ("escalated", escalated, len(asking), len(asking) - escalated),
    )
    for name, done, total, waiting in rows:
        bar = ProgressBar(total=max(total, 1), completed=done, width=34)
        table.add_row(name, bar, f"{done}/{total}", f"{waiting} waiting" if waiting else "")
    return Group(table, *(line for escalation in _newest(stories) for line in escalation_lines(escalation)))


def escalation_lines(escalation: EscalationEvent) -> list[Text]:
    """One escalation as two lines: what, for whom, by when; and the first reason in Spanish."""
    head = Text("  ! ", style=_COLOURS.get(escalation.severity, ""))
    head.append(f"{escalation.type.value:<18}", style=_COLOURS.get(escalation.severity, ""))
    head.append(f" {_clock(escalation.respond_by)}  {escalation.role}  case {str(escalation.case_id)[:8]}")
    reason = escalation.reasons[0].es if escalation.reasons else ""
    return [head, Text(f"    {reason}"[:78], style="dim")]


def summary(
    console: Console,
    inputs: Sequence[tuple[Planned, Published]],
    stories: Mapping[UUID, Story],
    started: Mapping[UUID, float],
) -> None:
    """A line an input: what was drawn, what the model said, what was decided, whom it reached and how soon."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("drawn", "the model said", "decision", "escalations", "after"):
        table.add_column(heading, no_wrap=heading == "after")
    for planned, published in inputs:
        story = stories.get(published.case_id, Story())
        table.add_row(
            planned.title,
            _model_said(planned, story),
            _decision(story),
            _escalations(story) if planned.kind is not Kind.DUPLICATE else "one set of outputs",
            _after(story, started.get(published.case_id)) if planned.kind is not Kind.DUPLICATE else "",
        )
    console.print(table)


def latencies(
    inputs: Sequence[tuple[Planned, Published]], stories: Mapping[UUID, Story], started: Mapping[UUID, float]
) -> str:
    """How soon the emergencies and the routine cases reached people, in seconds from their publishing."""

    def worst(emergency: bool) -> str:
        spent = [
            story.escalated_at - started[published.case_id]
            for planned, published in inputs
            if planned.emergency is emergency and planned.kind is Kind.CASE
            for story in [stories.get(published.case_id, Story())]
            if story.escalated_at is not None
        ]
        return f"{max(spent):.1f} s at most" if spent else "none"

    return f"published → escalated: emergencies {worst(True)}, routine {worst(False)}"


def _newest(stories: Mapping[UUID, Story]) -> list[EscalationEvent]:
    every = [escalation for story in stories.values() for escalation in story.escalations]
    return sorted(every, key=lambda escalation: escalation.raised_at)[-SHOWN:]


def _model_said(planned: Planned, story: Story) -> str:
    if planned.kind is Kind.BROKEN:
        return "no picture: dead letter" if story.dead_letters else "?"
    if not story.inferences:
        return "?"
    inference = story.inferences[0]
    if inference.model_status is not ModelStatus.JUDGED:
        why = inference.findings[0].abstained if inference.findings else inference.failure
        return f"{inference.model_status.value}: {why}"
    finding = inference.findings[0]
    assert finding.stage is not None
    return f"{finding.stage.value} {finding.confidence or 0:.2f}"


def _decision(story: Story) -> Text:
    if not story.gradings:
        return Text("?")
    severity = story.gradings[0].severity
    return Text(severity.value.replace("_", " "), style=_COLOURS.get(severity, ""))


def _escalations(story: Story) -> str:
    first = [escalation for escalation in story.escalations if escalation.level == 0]
    return ", ".join(_SHORT[escalation.type] for escalation in first) or "none"


def _after(story: Story, started: float | None) -> str:
    return "" if story.escalated_at is None or started is None else f"{story.escalated_at - started:.1f} s"


def _clock(moment: datetime) -> str:
    local = moment.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return f"respond by {local:%H:%M}" if today else f"respond by {local:%d-%m %H:%M}"
