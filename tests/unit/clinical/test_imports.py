"""The clinical rules depend on nothing but the standard library and the typed events."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import streams.clinical

FOLDER = Path(streams.clinical.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
ALLOWED = ("schemas.events", "schemas.errors", "streams.clinical")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module is not None
            yield node.module


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_clinical_module_imports_only_the_standard_library_and_the_events(path: Path) -> None:
    for name in imported(path):
        ours = any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED)
        assert ours or name.split(".")[0] in sys.stdlib_module_names, name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_clinical_module_reads_no_file_no_clock_and_no_environment(path: Path) -> None:
    source = path.read_text("utf-8")
    for forbidden in ("open(", "datetime.now", "time.time", "os.environ", "import os", "import random", "uuid4"):
        assert forbidden not in source
