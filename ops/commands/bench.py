"""`vigia bench`: measurements that anyone can repeat on one machine, in one run."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
from dataclasses import asdict
from pathlib import Path

import click
import psutil
from rich.console import Console
from rich.table import Table

from ops.bench import backlog, latency
from ops.bench.load import store_pictures
from ops.embedded import EmbeddedError
from ops.health import HealthProbe
from ops.up import Options, System


@click.command()
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Interleaved rounds.")
@click.option("--cases", type=click.IntRange(64, 100_000), default=1_500, show_default=True, help="Backlog a round.")
@click.option("--emergencies", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--waiting", type=click.IntRange(0, 100_000), default=5_000, show_default=True, help="Routine backlog.")
@click.option("--side", type=click.IntRange(128, 4096), default=1280, show_default=True, help="Pixels of a picture.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
def command(rounds: int, cases: int, emergencies: int, waiting: int, side: int, json_file: Path | None) -> None:
    """Throughput beside the bare model loop, CPU by process, and the latency of emergencies.

    Ratios of one run are what counts: seconds depend on the machine. docs/performance.md says what this does not show.
    """
    console = Console()
    with tempfile.TemporaryDirectory(prefix="vigia-bench-") as folder:
        # Heat maps are drawn beside the model's work, which the bare loop does not do.
        env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
        env["VIGIA_HEAT_MAPS"] = "off"
        try:
            with System(Options(run_dir=Path(folder)), console.print, env=env) as system:
                figures = _measure(system, console, rounds, cases, emergencies, waiting, side)
        except (EmbeddedError, TimeoutError) as error:
            raise click.ClickException(str(error)) from None
    _show(console, figures)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def _measure(
    system: System, console: Console, rounds: int, cases: int, emergencies: int, waiting: int, side: int
) -> dict[str, object]:
    probe = HealthProbe(system.targets_dir)
    with console.status("starting the stages"):
        while not system.serving(probe.look(system.statuses())):
            pass
    stored = store_pictures(system.settings, side)
    latency.emergencies(system, stored, 5)
    measured = []
    for number in range(rounds):
        with console.status(f"round {number + 1} of {rounds}: bare loop, then the pipeline"):
            measured.append(backlog.measure(system, stored, cases))
    with console.status("emergencies"):
        idle = latency.emergencies(system, stored, emergencies)
        loaded = latency.emergencies(system, stored, emergencies, waiting=waiting)
    return {
        "rounds": [asdict(each) for each in measured],
        "ratio": [each.pipeline / each.bare for each in measured],
        "emergency_idle": asdict(idle),
        "emergency_loaded": asdict(loaded),
        "waiting": waiting,
        "cases": cases,
        "side": side,
        "rss_mib": {
            status.name: round(psutil.Process(status.pid).memory_info().rss / 2**20)
            for status in system.statuses()
            if status.pid is not None
        },
    }


def _show(console: Console, figures: dict[str, object]) -> None:
    rounds: list[dict[str, object]] = figures["rounds"]  # type: ignore[assignment]
    table = Table(box=None, pad_edge=False)
    for heading in ("", "min", "median", "max"):
        table.add_column(heading, justify="left" if not heading else "right")
    rows = {
        "bare loop, pictures/s": [float(each["bare"]) for each in rounds],  # type: ignore[arg-type]
        "pipeline, pictures/s": [float(each["pipeline"]) for each in rounds],  # type: ignore[arg-type]
        "ratio": list(figures["ratio"]),  # type: ignore[call-overload]
    }
    for name, values in rows.items():
        table.add_row(name, *(f"{pick(values):.2f}" for pick in (min, statistics.median, max)))
    console.print(table)
    for name, key in (("idle", "emergency_idle"), (f"{figures['waiting']} waiting", "emergency_loaded")):
        spent: dict[str, float] = figures[key]  # type: ignore[assignment]
        console.print(
            f"emergency, {name}: p50 {spent['p50']:.3f} s, p99 {spent['p99']:.3f} s, worst {spent['worst']:.3f} s",
            highlight=False,
        )
    used: dict[str, float] = rounds[-1]["cpu_s_per_1000"]  # type: ignore[assignment]
    memory: dict[str, int] = figures["rss_mib"]  # type: ignore[assignment]
    for name, seconds in used.items():
        console.print(f"{name:<20}{1000 * seconds:8.0f} µs CPU a case  {memory.get(name, 0):5} MiB", highlight=False)
