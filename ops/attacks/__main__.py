"""`python -m ops.attacks`: see the package."""

from __future__ import annotations

from pathlib import Path

import click

from ops.attacks import table
from ops.attacks.registry import ATTACKS
from ops.attacks.run import PATIENCE_S, run
from ops.terminal.plain import echo, echo_block


@click.group(invoke_without_command=True)
@click.option("--only", multiple=True, type=click.Choice(list(ATTACKS)), help="This attack; may be repeated.")
@click.option("--vigia", help="The `vigia` of the version to attack; this one unless given.")
@click.option("--patience", default=PATIENCE_S, show_default=True, help="Seconds until an answer counts as missing.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the outcomes here.")
@click.pass_context
def command(
    context: click.Context, only: tuple[str, ...], vigia: str | None, patience: float, json_file: Path | None
) -> None:
    """Attack a whole system that this starts and ends; exit code 1 where an attack had an effect it must not have."""
    if context.invoked_subcommand is not None:
        return
    chosen = {name: attack for name, attack in ATTACKS.items() if not only or name in only}
    outcomes = []
    echo_block(f"| {' | '.join(table.HEAD)} |\n|{'---|' * len(table.HEAD)}")
    for outcome in run(chosen, vigia, lambda said: echo(said, err=True), patience):
        outcomes.append(outcome)
        echo(table.of_one(outcome))
        if json_file is not None:
            # After each of them: a campaign against an old version takes half an hour.
            json_file.write_text(table.as_json(outcomes), encoding="utf-8")
    raise SystemExit(1 if any(one.defects for one in outcomes) else 0)


@command.command("table")
@click.argument("before", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("after", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def side_by_side(before: Path, after: Path) -> None:
    """The outcomes of two versions, from their files, as one table in Markdown."""
    echo_block(table.of_two(before, after))


if __name__ == "__main__":
    command()
