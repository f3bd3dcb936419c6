"""The benchmark's figures as tables and as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.table import Table

from ops.bench.rounds import Throughput
from ops.bench.run import BenchFigures, BenchSizes

BARE = "bare loop"


def as_json(figures: BenchFigures, sizes: BenchSizes) -> dict[str, Any]:
    """Everything measured, in plain values."""
    return {
        "sizes": asdict(sizes),
        "rounds": {name: [asdict(one) for one in rounds] for name, rounds in figures.rounds.items()},
        "ratio_to_bare": {name: ratios(figures, name) for name in figures.rounds},
        "emergencies": [
            {"contestant": name, "situation": situation, **asdict(found)}
            for (name, situation), found in figures.emergencies.items()
        ],
        "growth": [{**asdict(each), "slope": each.line[0], "intercept": each.line[1]} for each in figures.growth],
        "left_out": figures.left_out,
    }


def ratios(figures: BenchFigures, name: str) -> list[float]:
    """A contestant's throughput over the bare loop's, round by round."""
    return [one.rate / bare.rate for one, bare in zip(figures.rounds[name], figures.rounds[BARE], strict=True)]


def show(console: Console, figures: BenchFigures) -> None:
    """Print the tables."""
    console.print(_throughput(figures))
    console.print(_emergencies(figures))
    console.print(_processes(figures))
    if figures.growth:
        console.print(_growth(figures))
    for line in figures.left_out:
        console.print(f"left out: {line}", highlight=False)


def _throughput(figures: BenchFigures) -> Table:
    table = _table("a backlog", "cases/s", "min–max", "of bare", "min–max", "CPU ms/case", "MiB")
    for name, rounds in figures.rounds.items():
        rates, shares = [one.rate for one in rounds], ratios(figures, name)
        memory = [sum(one.mib.values()) for one in rounds]
        table.add_row(
            name,
            f"{statistics.median(rates):.0f}",
            f"{min(rates):.0f}–{max(rates):.0f}",
            f"{statistics.median(shares):.2f}",
            f"{min(shares):.2f}–{max(shares):.2f}",
            f"{statistics.median(one.cpu_ms for one in rounds):.1f}",
            f"{statistics.median(memory):.0f}" if any(memory) else "",
        )
    return table


def _emergencies(figures: BenchFigures) -> Table:
    table = _table("emergencies, published to last escalation", "situation", "count", "lost", "p50 s", "p99 s", "max s")
    for (name, situation), found in figures.emergencies.items():
        seconds = (f"{value:.3f}" for value in (found.p50, found.p99, found.worst))
        table.add_row(name, situation, str(found.count), str(found.lost), *seconds)
    return table


def _processes(figures: BenchFigures) -> Table:
    table = _table("a case, by process", "CPU µs", "MiB")
    for name, rounds in figures.rounds.items():
        for process in rounds[-1].cpu_s_per_1000:
            spent = statistics.median(_spent(rounds, process))
            memory = rounds[-1].mib.get(process)
            table.add_row(f"{name}: {process}", f"{1000 * spent:.0f}", "" if memory is None else f"{memory:.0f}")
    return table


def _spent(rounds: Sequence[Throughput], process: str) -> list[float]:
    return [one.cpu_s_per_1000[process] for one in rounds if process in one.cpu_s_per_1000]


def _growth(figures: BenchFigures) -> Table:
    table = _table("growth with", "unit", "at", "slope", "intercept")
    for each in figures.growth:
        points = ", ".join(f"{at:g}: {value:.3g}" for at, value in each.points.items())
        slope, intercept = each.line
        table.add_row(each.what, each.unit, points, f"{slope:.3g}", f"{intercept:.3g}")
    return table


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    return table
