"""`vigia images`: generated wound pictures, to look at, to test with, to train on."""

from __future__ import annotations

from pathlib import Path

import click

from inference.findings import CLASSES
from ops.terminal.console import plain_console
from ops.terminal.plain import echo


@click.group()
def images() -> None:
    """Generate wound pictures with known answers."""


@images.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write to.")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=70, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--shifted", is_flag=True, help="Other light, cameras and things than training sees.")
@click.option("--stage", type=click.Choice(CLASSES), help="One class only; otherwise all seven in turn.")
@click.option("--size", type=click.IntRange(96, 2048), default=256, show_default=True, help="Side in pixels.")
@click.option("--masks", is_flag=True, help="Also write the mask of each lesion.")
def generate(out: Path, count: int, seed: int, shifted: bool, stage: str | None, size: int, masks: bool) -> None:
    """Write COUNT pictures, one folder per class, with metadata.csv and a contact sheet.

    The same seed gives the same pictures.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from inference.synthetic.dataset import write

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = plain_console(stderr=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("Generating", total=count)
        sheet = write(
            out,
            count=count,
            seed=seed,
            distribution="shifted" if shifted else "ordinary",
            stage=stage,
            size=size,
            masks=masks,
            progress=lambda done: progress.advance(task, done),
        )
    echo(f"{count} pictures in {out}; contact sheet: {sheet}")
