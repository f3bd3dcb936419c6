"""Draws a snapshot; readable at 80 columns, and without colour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ops.lag.clinical.figures import LANES, STEPS, ClinicalFigures, Waiting
from ops.lag.clinical.unanswered import Unanswered
from ops.lag.table import STYLES, duration, rate, short
from ops.watch.snapshot import Snapshot, StageSummary

#: Escalations shown; the most pressing come first.
ESCALATIONS = 8
SPARK = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 10
BAR_WIDTH = 8
#: Waiting times in seconds from which a cell is yellow, and red. The promise for emergencies is 2 s.
EMERGENCY_LIMITS = (2.0, 10.0)
ROUTINE_LIMITS = (60.0, 120.0)
#: A countdown is yellow in the last minute.
SOON_S = 60.0


def draw(snapshot: Snapshot) -> RenderableType:
    """The whole screen."""
    parts: list[RenderableType] = [_head(snapshot)]
    if snapshot.stages is not None:
        parts += ["", _stages(snapshot.stages)]
    if snapshot.clinical is not None:
        parts += ["", _waiting(snapshot.clinical), "", _escalations(snapshot.clinical, snapshot.at)]
    return Group(*parts)


def _head(snapshot: Snapshot) -> Text:
    clock = datetime.fromtimestamp(snapshot.at, UTC).strftime("%H:%M:%S UTC")
    head = Text.assemble(("Vigía", "bold"), f"  {clock}  ")
    if snapshot.trouble:
        return head.append(snapshot.trouble, "bold red")
    brokers = f"{snapshot.brokers} broker{'s' if snapshot.brokers != 1 else ''}"
    return head.append(f"{brokers} answer{'' if snapshot.brokers != 1 else 's'}", "green")


def _stages(stages: Sequence[StageSummary]) -> Table:
    table = _table()
    table.add_column("stage", width=19, no_wrap=True, overflow="ellipsis")
    table.add_column("lag", width=BAR_WIDTH)
    table.add_column("", justify="right", width=6, no_wrap=True)
    table.add_column("oldest", justify="right", width=6)
    table.add_column("in/s", justify="right", width=5)
    table.add_column("out/s", justify="right", width=5)
    table.add_column("last 60 s", width=SPARK_WIDTH)
    table.add_column("n", justify="right", width=2)
    table.add_column("state", width=7)
    most = max((stage.total.lag for stage in stages), default=0)
    for stage in stages:
        total = stage.total
        table.add_row(
            short(stage.group),
            Text(bar(total.lag, most), STYLES[total.state]),
            compact(total.lag),
            duration(total.lag_s),
            rate(total.records_in),
            rate(total.records_out),
            sparkline(stage.history),
            Text(str(stage.members), "" if stage.members else "bold red"),
            Text(total.state.label, STYLES[total.state]),
        )
    return table


def _waiting(clinical: ClinicalFigures) -> Table:
    table = _table()
    table.add_column("cases before", width=19)
    for lane in LANES:
        table.add_column(lane, justify="right", width=11)
        table.add_column("oldest", justify="right", width=7)
    found = {(one.step, one.lane): one for one in clinical.waiting}
    for step in STEPS:
        cells: list[RenderableType] = [step]
        for lane in LANES:
            one = found.get((step, lane)) or Waiting(step=step, lane=lane, cases=0, oldest_s=0.0)
            limits = EMERGENCY_LIMITS if lane == "emergency" else ROUTINE_LIMITS
            cells += [str(one.cases), Text(duration(one.oldest_s), _colour(one.oldest_s, limits))]
        table.add_row(*cells)
    return table


def _escalations(clinical: ClinicalFigures, now: float) -> RenderableType:
    if not clinical.unanswered:
        return Text("no escalation waits for an answer", "green")
    table = _table()
    table.add_column("answer in", justify="right", width=9)
    table.add_column("priority", width=9)
    table.add_column("asked now", width=22, no_wrap=True, overflow="ellipsis")
    table.add_column("escalation", width=36)
    for one in clinical.unanswered[:ESCALATIONS]:
        table.add_row(
            countdown(one, now), one.priority, f"{one.role}{f' +{one.level}' if one.level else ''}", one.escalation_id
        )
    left = len(clinical.unanswered) - ESCALATIONS
    return Group(table, Text(f"and {left} more", "dim")) if left > 0 else table


def countdown(one: Unanswered, now: float) -> Text:
    """The time to the deadline; negative when it has passed."""
    left = one.respond_by_ms / 1_000 - now
    text = f"-{duration(-left)}" if left < 0 else duration(left)
    return Text(text, "bold red" if left < 0 else "yellow" if left < SOON_S else "")


def bar(value: int, most: int) -> str:
    """A bar of at most `BAR_WIDTH` characters, in eighths; every value above 0 is visible."""
    if value <= 0 or most <= 0:
        return ""
    eighths = max(1, round(value / most * BAR_WIDTH * 8))
    return "█" * (eighths // 8) + (" ▏▎▍▌▋▊▉"[eighths % 8]).strip()


def sparkline(values: Sequence[int]) -> str:
    """The maximum of each of `SPARK_WIDTH` slices, oldest first; 0 is a blank, not the lowest block."""
    if not values:
        return ""
    size = max(1, -(-len(values) // SPARK_WIDTH))
    peaks = [max(values[i : i + size]) for i in range(0, len(values), size)]
    top = max(peaks)
    return "".join(" " if peak == 0 else SPARK[min(7, peak * 7 // top)] for peak in peaks)


def compact(count: int) -> str:
    """A count in at most 6 characters."""
    for limit, divisor, unit in ((1_000_000, 1, ""), (100_000_000, 1_000, "k")):
        if count < limit:
            return f"{count // divisor}{unit}"
    return f"{count // 1_000_000}M"


def _colour(value: float, limits: tuple[float, float]) -> str:
    return "bold red" if value >= limits[1] else "yellow" if value >= limits[0] else ""


def _table() -> Table:
    return Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold dim")
