"""The demo's output for people: progress while it runs, escalations as they come, and a summary of every input."""

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
from ops.demo.scenario import InputKind, PlannedInput
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
#: Short names of severities whose names are too wide for their column.
_SHORT = {
    Severity.ROUTINE_PREVENTION: "routine",
    Severity.SPECIALIZED_EVALUATION: "specialized",
    Severity.STRICT_MONITORING: "strict",
}
#: One letter per type, so that a case has one line in 80 columns; a legend below the table explains them.
_LETTERS = {
    EscalationType.EMERGENCY: "E",
    EscalationType.SPECIALIST_REVIEW: "S",
    EscalationType.HUMAN_REVIEW: "H",
    EscalationType.HIGH_RISK: "R",
    EscalationType.SYSTEM_ERROR: "X",
}
#: Escalations shown while the demo runs; all of them are in the summary.
SHOWN = 5


def progress(stories: Mapping[UUID, Story], expected: int, publishing: int) -> Group:
    """One bar per stage with the number of cases that wait before it, and the newest escalations."""
    # The copy is an input, but not a case of its own.
    cases, published = expected - 1, len(stories)
    inferred = sum(bool(story.inferences or story.dead_letters) for story in stories.values())
    graded = sum(bool(story.gradings) for story in stories.values())
    asking = [story for story in stories.values() if any(grading.escalations for grading in story.gradings)]
    escalated = sum(bool(story.escalations) for story in asking)
    table = Table.grid(padding=(0, 2))
    rows = (
        ("published", publishing, expected, 0),
        ("inferred", inferred, cases, published - inferred),
        ("graded", graded, cases, inferred - graded),
        ("escalated", escalated, len(asking), len(asking) - escalated),
    )
    for name, done, total, waiting in rows:
        bar = ProgressBar(total=max(total, 1), completed=done, width=34)
        table.add_row(name, bar, f"{done}/{total}", f"{waiting} waiting" if waiting else "")
    return Group(table, *(line for escalation in _newest(stories) for line in escalation_lines(escalation)))


def escalation_lines(escalation: EscalationEvent) -> list[Text]:
    """One escalation as three lines: what, for whom, by when; and the first reason in Spanish and in English."""
    head = Text("  ! ", style=_COLOURS.get(escalation.severity, ""))
    head.append(f"{escalation.type.value:<18}", style=_COLOURS.get(escalation.severity, ""))
    head.append(f" {_clock(escalation.respond_by)}  {escalation.role}  case {str(escalation.case_id)[:8]}")
    reasons = [escalation.reasons[0].es, escalation.reasons[0].en] if escalation.reasons else []
    return [head, *(Text(_cut(f"    {reason}"), style="dim") for reason in reasons)]


def summary(
    console: Console,
    inputs: Sequence[tuple[PlannedInput, Published]],
    stories: Mapping[UUID, Story],
    started: Mapping[UUID, float],
) -> None:
    """One line per input: what was drawn, what the model said, what was decided, whom it reached and how soon."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("case", "drawn", "the model said", "decision", "asked", "after"):
        table.add_column(heading, no_wrap=True)
    for planned, published in inputs:
        story = stories.get(published.case_id, Story())
        table.add_row(
            str(published.case_id)[:8],
            planned.title,
            _model_said(planned, story),
            _decision(story),
            _escalations(story) if planned.kind is not InputKind.DUPLICATE else "one set",
            _after(story, started.get(published.case_id)) if planned.kind is not InputKind.DUPLICATE else "",
        )
    console.print(table)
    console.print(
        "asked: E emergency, S specialist, H human review, R high risk, X system error",
        highlight=False,
    )


def latencies(
    inputs: Sequence[tuple[PlannedInput, Published]], stories: Mapping[UUID, Story], started: Mapping[UUID, float]
) -> str:
    """How soon emergencies and routine cases reached people, in seconds from their publishing, and who came first."""
    reached: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    for planned, published in inputs:
        at = stories.get(published.case_id, Story()).escalated_at
        if planned.kind is InputKind.CASE and at is not None:
            reached[planned.emergency].append((at, at - started[published.case_id]))

    def worst(emergency: bool) -> str:
        return f"{max(spent for _, spent in reached[emergency]):.1f} s at most" if reached[emergency] else "none"

    line = f"published → escalated: emergencies {worst(True)}, routine {worst(False)}"
    last = max((at for at, _ in reached[True]), default=None)
    overtaken = 0 if last is None else sum(at > last for at, _ in reached[False])
    return f"{line}\nthe emergencies were published last; {overtaken} routine cases reached people after them"


def agreement(inputs: Sequence[tuple[PlannedInput, Published]], stories: Mapping[UUID, Story]) -> str:
    """How often the model's class is the one that was drawn. The pictures are generated: this says nothing about
    patients."""
    pictures = [(planned, published) for planned, published in inputs if planned.kind is InputKind.CASE]
    found = [each for _, published in pictures for each in stories.get(published.case_id, Story()).inferences[:1]]
    judged = {each.case_id: each.findings[0].stage for each in found if each.model_status is ModelStatus.JUDGED}
    as_drawn = sum(judged.get(published.case_id) == planned.drawn for planned, published in pictures)
    version = next((each.model_version for each in found if each.model_version), "none")
    asked = len(pictures) - len(judged)
    return f"model {version}: {as_drawn} of {len(pictures)} pictures as drawn; {asked} without a class went to people"


def _newest(stories: Mapping[UUID, Story]) -> list[EscalationEvent]:
    every = [escalation for story in stories.values() for escalation in story.escalations]
    return sorted(every, key=lambda escalation: escalation.raised_at)[-SHOWN:]


def _model_said(planned: PlannedInput, story: Story) -> str:
    if planned.kind is InputKind.BROKEN:
        return "dead letter" if story.dead_letters else "?"
    if not story.inferences:
        return "?"
    inference = story.inferences[0]
    if inference.model_status is not ModelStatus.JUDGED:
        why = inference.findings[0].abstained if inference.findings else inference.failure
        return str(why or inference.model_status.value)[:18]
    finding = inference.findings[0]
    assert finding.stage is not None
    return f"{finding.stage.value} {finding.confidence or 0:.2f}"


def _decision(story: Story) -> Text:
    if not story.gradings:
        return Text("?")
    severity = story.gradings[0].severity
    return Text(_SHORT.get(severity, severity.value), style=_COLOURS.get(severity, ""))


def _escalations(story: Story) -> str:
    first = [escalation for escalation in story.escalations if escalation.level == 0]
    return (
        " ".join(_LETTERS.get(kind, kind.value) for kind in EscalationType if any(each.type is kind for each in first))
        or "–"
    )


def _after(story: Story, started: float | None) -> str:
    return "" if story.escalated_at is None or started is None else f"{story.escalated_at - started:.1f} s"


def _cut(line: str) -> str:
    return line if len(line) <= 79 else f"{line[:78]}…"


def _clock(moment: datetime) -> str:
    local = moment.astimezone()
    today = local.date() == datetime.now().astimezone().date()
    return f"respond by {local:%H:%M}" if today else f"respond by {local:%d-%m %H:%M}"
