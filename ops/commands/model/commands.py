"""`vigia model`: train, evaluate and choose the image model's versions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from inference import versions as registry
from inference.findings import ModelError
from ops.commands.model.progress import Watch
from ops.commands.model.rollout import announce, canary, clear, orders, shadow
from ops.commands.model.speed import speed
from ops.terminal.console import plain_console
from ops.terminal.plain import echo, echo_block, echo_json
from schemas.events import ModelAction

_DIRECTORY = click.option(
    "--model-dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="VIGIA_MODEL_DIR",
    help="Folder of model versions; default: the models of the package.",
)
_THREADS = click.option("--threads", type=click.IntRange(1, 64), default=2, show_default=True, help="CPU threads.")


@click.group()
def model() -> None:
    """Train, evaluate and choose the image model's versions."""


model.add_command(speed)


@model.command("list")
@_DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="For a script.")
def list_versions(directory: Path | None, as_json: bool) -> None:
    """List the versions, whether each is what its manifest says, and which one is active."""
    active = registry.active(directory) if registry.history(directory) else None
    rows: list[dict[str, Any]] = []
    for version in registry.versions(directory):
        try:
            registry.verify(version, directory)
            state = "good"
        except ModelError as error:
            state = str(error)
        rows.append({"version": version, "active": version == active, "state": state})
    if as_json:
        echo_json(rows)
        return
    table = Table("", "version", "state")
    for row in rows:
        table.add_row("→" if row["active"] else "", row["version"], row["state"])
    plain_console().print(table)


@model.command()
@click.argument("version", required=False)
@_DIRECTORY
@click.option("--json", "as_json", is_flag=True, help="Settings and figures, for a script.")
def show(version: str | None, directory: Path | None, as_json: bool) -> None:
    """Print the model card of VERSION (default: the active one)."""
    bundle = registry.load(version, directory)
    card, figures = bundle.path / "MODEL_CARD.md", bundle.path / "evaluation.json"
    if as_json:
        measured = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else None
        echo_json({"version": bundle.version, "settings": dict(bundle.settings), "evaluation": measured})
    elif card.is_file():
        echo_block(card.read_text(encoding="utf-8"))
    else:
        echo(f"{bundle.version} has no card yet: vigia model evaluate {bundle.version}")


@model.command()
@click.argument("version", required=False)
@_DIRECTORY
def verify(version: str | None, directory: Path | None) -> None:
    """Check every file of VERSION (default: the active one) against its manifest and its name, and run it once."""
    from inference.predictor import Predictor

    bundle = registry.load(version, directory)
    Predictor(bundle.path).warm_up()
    echo(f"{bundle.version}: good, sha256 {bundle.sha256}")


@model.command()
@click.argument("version")
@_DIRECTORY
def promote(version: str, directory: Path | None) -> None:
    """Make VERSION the active one. It is verified and run once first.

    The workers of a running system change to it between two batches; others load it when they start.
    """
    from inference.predictor import Predictor

    Predictor(registry.verify(version, directory).path).warm_up()
    registry.promote(version, directory)
    told = announce(ModelAction.PROMOTE, version)
    echo(f"{version} is active" + (": the running workers change between two batches" if told else ""))


@model.command()
@_DIRECTORY
def rollback(directory: Path | None) -> None:
    """Make the version before the active one active again."""
    bundle = registry.rollback(directory)
    told = announce(ModelAction.ROLLBACK, bundle.version)
    echo(f"{bundle.version} is active again" + (": the running workers change back" if told else ""))


for rollout_command in (canary, shadow, clear, orders):
    model.add_command(rollout_command)


@model.command()
@click.option(
    "--pictures", type=click.Path(path_type=Path, exists=True), help="Own pictures: a folder per class, or a CSV table."
)
@click.option("--generated", type=click.IntRange(70), help="Train on this many generated pictures instead.")
@click.option("--name", default="own", show_default=True, help="What the version's name begins with.")
@click.option("--start", help="Version to fine-tune; `active` for the active one.")
@click.option(
    "--epochs", type=click.IntRange(1, 500), help="Most epochs; training stops earlier when it helps no more."
)
@click.option("--seed", type=click.IntRange(0), default=1100, show_default=True)
@click.option("--small", is_flag=True, help="A small network for a first try: a minute instead of an hour.")
@click.option(
    "--workdir", type=click.Path(path_type=Path, file_okay=False), help="Keep checkpoints; continue from them."
)
@_THREADS
@_DIRECTORY
def train(
    pictures: Path | None,
    generated: int | None,
    name: str,
    start: str | None,
    epochs: int | None,
    seed: int,
    small: bool,
    workdir: Path | None,
    threads: int,
    directory: Path | None,
) -> None:
    """Train a model, calibrate it and seal it as a new version, which is not active until promoted."""
    from inference.training.fit import SMALL, FitSettings
    from inference.training.session import train_generated, train_pictures

    if (pictures is None) == (generated is None):
        raise click.UsageError("give either --pictures or --generated")
    settings = replace(SMALL if small else FitSettings(), seed=seed, threads=threads)
    settings = replace(settings, epochs=epochs) if epochs else settings
    home = directory or registry.PACKAGED
    with Watch() as watch:
        begin = registry.active(directory) if start == "active" else start
        version = (
            train_generated(
                generated or 0, settings, name=name, directory=home, start=begin, workdir=workdir, watch=watch
            )
            if pictures is None
            else train_pictures(
                pictures, settings, name=name, directory=home, start=begin, workdir=workdir, watch=watch
            )
        )
    echo(f"{version} in {home}; next: vigia model show {version}, then vigia model promote {version}")


@model.command()
@click.argument("version", required=False)
@click.option("--count", type=click.IntRange(70), default=3500, show_default=True, help="Pictures of each kind.")
@click.option("--pictures", type=click.Path(path_type=Path, exists=True), help="Own pictures, not trained on, instead.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Default: into the version's folder.")
@click.option("--processes", type=click.IntRange(1, 64), default=2, show_default=True)
@_DIRECTORY
def evaluate(
    version: str | None, count: int, pictures: Path | None, out: Path | None, processes: int, directory: Path | None
) -> None:
    """Measure VERSION on generated or own pictures and write report, figures and model card.

    Versions trained on own pictures were measured on their test patients when they were trained.
    """
    from inference.evaluation.run import evaluate_generated, total, write

    if pictures is not None and out is None:
        raise click.UsageError("--pictures needs --out: the card in the version's folder stays as it is")
    with Watch() as watch:
        bundle = registry.load(version, directory)
        if pictures is not None:
            # Only here: it brings TensorFlow, which judging does without.
            from inference.training.session import evaluate_pictures

            result = evaluate_pictures(bundle, pictures, watch)
        else:
            watch.begin("Evaluating", total(count))
            command = f"vigia model evaluate {bundle.version} --count {count}"
            result = evaluate_generated(
                bundle, count=count, command=command, processes=processes, progress=watch.advance
            )
        paths = write(result, bundle, out or bundle.path)
        if out is None:
            registry.write_manifest(bundle.path, bundle.version)
            registry.verify(bundle.version, directory)
    echo_block(str(path) for path in paths)
