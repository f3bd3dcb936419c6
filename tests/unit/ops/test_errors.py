"""An error that a person can act on is one line and exit code 1, whatever command meets it."""

from __future__ import annotations

import ast
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from inference.findings import ModelError
from ops.cli import LazyGroup
from ops.embedded.errors import EmbeddedError
from schemas.errors import RegistryUnavailableError
from streams.broker.errors import TopicMissingError
from streams.settings import SettingsError

ROOT = Path(__file__).parents[3]


def failing(error: Exception) -> click.Group:
    class Group(LazyGroup):
        def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
            @click.command("fail")
            def fail() -> None:
                raise error

            return fail

    return Group("vigia")


@pytest.mark.parametrize(
    "error",
    [
        RegistryUnavailableError("the registry is away"),
        TopicMissingError("topic x does not exist"),
        SettingsError("VIGIA_X is not set"),
        ModelError("no such version"),
        EmbeddedError("the port is taken"),
    ],
)
def test_an_error_of_our_families_is_one_line(error: Exception) -> None:
    result = CliRunner().invoke(failing(error), ["fail"])
    assert (result.exit_code, result.stderr) == (1, f"Error: {error}\n")


def test_any_other_error_is_a_defect_and_keeps_its_trace() -> None:
    result = CliRunner().invoke(failing(ZeroDivisionError("not for people")), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("path", sorted((ROOT / "ops/commands").rglob("*.py")), ids=lambda path: path.stem)
def test_no_command_turns_errors_into_lines_of_its_own(path: Path) -> None:
    """`raise ClickException(str(error))` is what `ops/cli.py` does for all; publish has an exit code of its own."""
    if path.name == "publish.py":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            text = ast.unparse(node.body[-1])
            assert text != f"raise click.ClickException(str({node.name})) from None", f"line {node.lineno}"
