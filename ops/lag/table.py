"""Lag figures as a table for people and as plain mappings for scripts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from rich.table import Table
from rich.text import Text

from ops.lag.evaluator import LagState
from ops.lag.figures import GroupLag

STYLES = {
    LagState.OK: "green",
    LagState.WARNING: "yellow",
    LagState.STALLED: "bold red",
    LagState.STOPPED: "bold red",
    LagState.REWOUND: "bold magenta",
}


def as_table(lags: Iterable[GroupLag], *, all_partitions: bool) -> Table:
    """One row per group and topic, or with `all_partitions` per group and partition; at most 80 columns wide."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    name_width = 16 if all_partitions else 18
    for name in ("group", "topic"):
        table.add_column(name, max_width=name_width, overflow="ellipsis", no_wrap=True)
    if all_partitions:
        table.add_column("p", justify="right")
    for name in ("lag", "oldest", "in/s", "out/s", "drain"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    rows = sorted(lags, key=lambda lag: (lag.group, lag.topic, lag.partition))
    for lag in rows if all_partitions else summed(rows):
        cells = [short(lag.group), short(lag.topic)]
        if all_partitions:
            cells.append(str(lag.partition))
        cells += [
            f"{'≤' if lag.uncertain else ''}{lag.lag}",
            duration(lag.lag_s),
            rate(lag.records_in),
            rate(lag.records_out),
            duration(lag.drain_s),
        ]
        table.add_row(*cells, Text(lag.state.label, STYLES[lag.state]))
    return table


def summed(lags: Iterable[GroupLag]) -> list[GroupLag]:
    """One entry per group and topic: records and rates added, the oldest age, the worst state. `partition` is −1."""
    by_topic: dict[tuple[str, str], list[GroupLag]] = {}
    for lag in lags:
        by_topic.setdefault((lag.group, lag.topic), []).append(lag)
    return [
        GroupLag(
            group=group,
            topic=topic,
            partition=-1,
            committed=None,
            lag=sum(part.lag for part in parts),
            uncertain=sum(part.uncertain for part in parts),
            lag_s=max(part.lag_s for part in parts),
            records_in=sum(part.records_in for part in parts),
            records_out=sum(part.records_out for part in parts),
            drain_s=max(part.drain_s for part in parts),
            state=max(part.state for part in parts),
            owned=all(part.owned for part in parts),
            lost=sum(part.lost for part in parts),
        )
        for (group, topic), parts in by_topic.items()
    ]


def as_mapping(lag: GroupLag) -> dict[str, Any]:
    """The lag as plain values for JSON. `drain_s` is null when the lag does not shrink: JSON has no infinity."""
    return {
        "group": lag.group,
        "topic": lag.topic,
        "partition": lag.partition,
        "committed": lag.committed,
        "lag": lag.lag,
        "uncertain": lag.uncertain,
        "lag_s": round(lag.lag_s, 3),
        "records_in_per_s": round(lag.records_in, 3),
        "records_out_per_s": round(lag.records_out, 3),
        "drain_s": round(lag.drain_s, 3) if math.isfinite(lag.drain_s) else None,
        "state": lag.state.label,
        "owned": lag.owned,
        "lost_offsets": lag.lost,
    }


def duration(seconds: float) -> str:
    """A time span in at most 6 characters: 0, 0.4s, 12s, 3m05s, 2h10m, 4d, ∞."""
    if math.isinf(seconds):
        return "∞"
    if seconds == 0:
        return "0"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h{whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d"


def rate(per_second: float) -> str:
    """Records per second in at most 5 characters: 0, 0.4, 43, 1.2k, 3.4M."""
    if per_second < 0.05:
        return "0"
    units = ((999.5, 1.0, ""), (999_500.0, 1e3, "k"), (math.inf, 1e6, "M"))
    divisor, unit = next((divisor, unit) for limit, divisor, unit in units if per_second < limit)
    scaled = per_second / divisor
    return f"{scaled:.1f}{unit}" if scaled < 9.95 else f"{scaled:.0f}{unit}"


def short(name: str) -> str:
    """The name of a group or topic without this pipeline's prefix."""
    return name.removeprefix("vigia-").removeprefix("vigia.")
