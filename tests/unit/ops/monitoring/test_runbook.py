"""What the runbook says to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from ops.cli import cli

RUNBOOK = (Path(__file__).parents[4] / "docs" / "runbook.md").read_text(encoding="utf-8")
#: Every `vigia …` in code, up to the end of the code span or line, without comments.
LINES = sorted({found.strip() for found in re.findall(r"(?:`|^)vigia ([a-z][^`\n#…]*)", RUNBOOK, re.MULTILINE)})


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_runbook_exists_with_its_options(line: str) -> None:
    words = line.split()
    command: click.Command = cli
    context = click.Context(cli)
    while words and isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None, f"vigia {line}: no such command"
        command = found
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_runbook_has_commands_to_check() -> None:
    assert len(LINES) > 15
