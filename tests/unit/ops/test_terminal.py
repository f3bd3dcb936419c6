"""What others wrote reaches no terminal and no log raw, and no command prints past the place that sees to it."""

from __future__ import annotations

import ast
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.terminal.plain import as_json, plain, plain_block

ROOT = Path(__file__).parents[3]
PRINTING = sorted(
    path for folder in ("commands", "views", "watch", "demo") for path in (ROOT / "ops" / folder).rglob("*.py")
)
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


@given(st.text())
def test_a_value_is_one_visible_line(text: str) -> None:
    shown = plain(text)
    assert not UNSAFE.search(shown)
    assert "\n" not in shown
    assert plain(shown) == shown
    assert plain_block(text).count("\n") == text.count("\n")


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    if not re.search("[\u115f\u1160]", text):
        assert plain(text) == text
    assert plain("Juana Pérez, ñandú ¿cuándo? → 38 °C") == "Juana Pérez, ñandú ¿cuándo? → 38 °C"


@given(st.recursive(st.text() | st.integers() | st.none(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)))
def test_json_holds_what_it_was_given_and_nothing_unsafe(value: object) -> None:
    text = as_json(value)
    assert not UNSAFE.search(text)
    assert json.loads(text) == value


def test_a_hostile_value_steers_no_terminal_in_any_view() -> None:
    """On a real pseudo-terminal: everything that shows foreign text, its errors and its log."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tests.unit.ops.hostile_output"]
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "200"}
    child = subprocess.Popen(command, stdout=theirs, stderr=theirs, cwd=ROOT, env=env)
    os.close(theirs)
    output = b""
    while chunk := _read(ours):
        output += chunk
    os.close(ours)
    assert child.wait(60) == 1, output.decode(errors="replace")[-3000:]
    text = output.decode()
    # Colours are ours; everything else behind an ESC would be theirs.
    assert re.findall(r"\x1b(?!\[[0-9;]*m)", text) == []
    for forbidden in ("\x07", "\x9b", "\u202e", "\u2028", "\x7f"):
        assert forbidden not in text
    lines = text.replace("\r", "").split("\n")
    assert not [line for line in lines if line.startswith(("the chain holds", "forged"))]
    assert text.count("\\x1b]52;c;") >= 10, "something is not shown any more"
    assert "[bold]" in text, "markup was interpreted"
    assert "Traceback" in text


def _read(master: int) -> bytes:
    try:
        return os.read(master, 65_536)
    except OSError:
        # Linux says so when the last process has closed the terminal.
        return b""


@pytest.mark.parametrize("path", PRINTING, ids=lambda path: str(path.relative_to(ROOT / "ops")))
def test_nothing_is_printed_past_the_place_that_makes_it_plain(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        assert called not in {
            "click.echo",
            "click.secho",
            "print",
            "Console",
            "sys.stdout.write",
            "sys.stderr.write",
        }, f"line {node.lineno}: use ops.terminal"
        if called == "json.dumps":
            # Into a file of ours, not onto a terminal.
            assert path.name in {"worker.py", "bench.py", "chaos.py", "targets.py"}, f"line {node.lineno}: use as_json"
