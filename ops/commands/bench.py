"""`vigia bench`: measurements that anyone can repeat on one machine, in one run."""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path

import click
from rich.console import Console

from ops.bench import report
from ops.bench.run import BenchFigures, BenchSizes, run
from ops.system import stopping
from ops.terminal.console import plain_console


@click.command()
@click.option("--rounds", type=click.IntRange(1, 20), default=3, show_default=True, help="Interleaved rounds.")
@click.option("--cases", type=click.IntRange(64, 100_000), default=2_500, show_default=True, help="Backlog a round.")
@click.option("--emergencies", type=click.IntRange(6, 10_000), default=120, show_default=True)
@click.option("--waiting", type=click.IntRange(0, 100_000), default=5_000, show_default=True, help="Routine backlog.")
@click.option("--side", type=click.IntRange(128, 4096), default=1280, show_default=True, help="Pixels of a picture.")
@click.option("--rivals/--no-rivals", default=True, show_default=True, help="Celery, stock Faust, plain loops.")
@click.option("--growth/--no-growth", default=True, show_default=True, help="Partitions, pixels, number of cases.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures here.")
def command(
    rounds: int,
    cases: int,
    emergencies: int,
    waiting: int,
    side: int,
    rivals: bool,
    growth: bool,
    json_file: Path | None,
) -> None:
    """Throughput beside the bare model loop and beside other designs, latency of emergencies, cost as it grows.

    Ratios of one run are what counts: seconds depend on the machine. docs/performance.md says what this does not show.
    Starts a broker, a registry, a Redis and workers of its own in a temporary folder; nothing is left.
    """
    console = plain_console()
    sizes = BenchSizes(
        rounds=rounds,
        cases=cases,
        emergencies=emergencies,
        waiting=waiting,
        side=side,
        rivals=rivals,
        growth=growth,
    )
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vigia-bench-", ignore_cleanup_errors=True) as folder:
        try:
            with stopping.Interrupt().raising():
                figures = _with_progress(console, Path(folder), sizes)
        except TimeoutError as error:
            raise click.ClickException(f"the measurement took too long: {error}") from None
        except KeyboardInterrupt:
            raise click.ClickException("interrupted; nothing is left running") from None
    report.show(console, figures)
    minutes = (time.monotonic() - started) / 60
    console.print(f"{os.cpu_count()} processors, {minutes:.0f} minutes, load {os.getloadavg()[2]:.1f}", highlight=False)
    if json_file is not None:
        json_file.write_text(json.dumps(report.as_json(figures, sizes), indent=1) + "\n", encoding="utf-8")


def _with_progress(console: Console, folder: Path, sizes: BenchSizes) -> BenchFigures:
    if console.is_terminal:
        with console.status("starting") as status:
            return run(folder, sizes, status.update)
    return run(folder, sizes, lambda line: console.print(line, highlight=False, soft_wrap=True, markup=False))
