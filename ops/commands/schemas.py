"""`vigia schemas`: the contract, its compatibility with what was released, and its registration."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from ops.system.context import load_settings
from ops.terminal.plain import echo
from schemas import compatibility, definitions


@click.group("schemas")
def schemas_group() -> None:
    """The Avro schemas of the contract."""


@schemas_group.command("list")
def list_schemas() -> None:
    """Show each topic with its record, and each record with its purpose."""
    from streams import topics

    for topic, record in topics.RECORDS:
        echo(f"{topic:40} {record.__avro__.full_name}")
    echo()
    for name, definition in definitions.packaged().items():
        echo(f"{name:40} {definition['doc']}")


@schemas_group.command("check")
def check() -> None:
    """Check, without a registry, that these schemas read and are read by every released version."""
    problems = compatibility.check(definitions.AVSC, compatibility.RELEASED)
    for problem in problems:
        echo(problem, err=True)
    if problems:
        raise SystemExit(1)
    echo(f"{len(definitions.packaged())} types, compatible with {', '.join(_versions()) or 'no release yet'}")


@schemas_group.command("register")
def register() -> None:
    """Register the schemas of all topics under FULL_TRANSITIVE compatibility."""
    from schemas.serde import Serde
    from streams import topics

    ids = Serde(load_settings().schema_registry_url).register_all(topics.RECORDS)
    for topic, schema_id in ids.items():
        echo(f"{topic:40} schema id {schema_id}")


@schemas_group.command("release")
@click.argument("version")
def release(version: str) -> None:
    """Keep the schemas as those of VERSION: all later ones must be compatible with them."""
    folder = compatibility.RELEASED / version
    if folder.exists():
        raise click.ClickException(f"{version} is released already; what was released never changes")
    if not all(part.isdigit() for part in version.split(".")) or version.count(".") != 2:
        raise click.UsageError(f"{version} is no version such as 0.2.0")
    problems = compatibility.check(definitions.AVSC, compatibility.RELEASED)
    if problems:
        raise click.ClickException(problems[0])
    folder.mkdir(parents=True)
    for path in sorted(definitions.AVSC.glob("*.avsc")):
        shutil.copyfile(path, folder / path.name)
    echo(f"released {version} in {folder}")


@schemas_group.command("asyncapi")
@click.option("--check", "only_check", is_flag=True, help="Only say whether it is up to date (exit code 1: it is not).")
@click.option("--output", type=click.Path(path_type=Path), default=Path("docs/asyncapi.yaml"), show_default=True)
def asyncapi(only_check: bool, output: Path) -> None:
    """Write the description of topics and messages as AsyncAPI 3."""
    from ops.contract.asyncapi import render

    text = render()
    if not only_check:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
        echo(f"wrote {output}")
    elif not output.is_file() or output.read_text(encoding="utf-8") != text:
        raise click.ClickException(f"{output} is not up to date: run `vigia schemas asyncapi`")


def _versions() -> list[str]:
    return sorted(path.name for path in compatibility.RELEASED.iterdir() if path.is_dir())
