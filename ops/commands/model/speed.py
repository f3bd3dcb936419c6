"""`vigia model speed`: what a version costs on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import click

from inference import versions as registry
from ops.terminal.plain import echo, echo_json


@click.command()
@click.argument("version", required=False)
@click.option("--threads", type=click.IntRange(1, 64), default=1, show_default=True, help="CPU threads of the runtime.")
@click.option(
    "--model-dir", "directory", type=click.Path(path_type=Path, file_okay=False), envvar="VIGIA_MODEL_DIR", hidden=True
)
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def speed(version: str | None, threads: int, directory: Path | None, as_json: bool) -> None:
    """Measure pictures per second, memory and event-loop lateness of VERSION on this machine (about two minutes)."""
    from inference.evaluation import speed as measure
    from inference.predictor import Runtime

    path = registry.load(version, directory).path
    result: dict[str, object] = {"version": path.name, "threads": threads}
    for runtime in get_args(Runtime):
        result[f"{runtime}, network alone"] = measure.network_speed(path, runtime, threads=threads)
        for width in measure.WIDTHS:
            rates = measure.predictor_speed(path, runtime, threads=threads, width=width)
            result[f"{runtime}, from {width} px JPEG to finding"] = rates
        result[f"{runtime}, resident MiB"] = round(measure.memory(path, runtime) / 2**20)
    result["event loop late, ms"] = measure.lateness(path, threads=threads)
    if as_json:
        echo_json(result)
        return
    for name, value in result.items():
        shown = {k: round(v, 1) for k, v in value.items()} if isinstance(value, dict) else value
        echo(f"{name}: {shown}")
