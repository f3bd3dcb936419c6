"""Whoever reads a topic goes past what cannot be read."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[3]
MAKERS = {"observer", "reading_consumer", "looking_consumer", "group_member"}
#: The process that tries records one by one tells its parent of what it cannot read, which lays that aside.
TRIES = {"streams/runtime/trial_child.py"}


def readers() -> set[str]:
    """Modules that make a consumer and take messages from it. `ops/bench` reads only what it has written itself."""
    found = set()
    for package in ("streams", "ops"):
        for path in (ROOT / package).rglob("*.py"):
            name, tree = path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))
            makes = any(
                isinstance(node, ast.ImportFrom) and MAKERS & {alias.name for alias in node.names}
                for node in ast.walk(tree)
            )
            if makes and not name.startswith("ops/bench/") and any(map(_takes, ast.walk(tree))):
                found.add(name)
    return found


def _takes(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in ("consume", "poll")
        and "consumer" in ast.unparse(node.func.value).lower().replace("reader", "consumer")
    )


def test_every_reader_of_a_topic_goes_past_what_it_cannot_read() -> None:
    found = readers()
    assert {"streams/broker/read.py", "ops/monitoring/canary.py", "ops/lag/examiner.py"} <= found
    without = {name for name in found - TRIES if ".skipped(" not in (ROOT / name).read_text("utf-8")}
    assert without == set()
