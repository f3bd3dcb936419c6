"""A program that installs the distribution sees its types: what is built carries py.typed, and mypy reads it."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("schemas", "inference", "streams", "ops")

CONSUMER = """\
from streams.client import EventConsumer
from streams.settings import Settings

with EventConsumer(Settings.from_env(), ["vigia.gradings"], group_id="ward") as consumer:
    offset: str = next(iter(consumer)).offset
    EventConsumer("localhost:9092", ["vigia.gradings"], group_id="ward")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python whose site-packages hold what setuptools builds from this checkout, and nothing else."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (packages,) = folder.glob("venv/lib/python*/site-packages")
    build = ["-q", "egg_info", "--egg-base", str(folder), "build_py", "--build-lib", str(packages)]
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "import setuptools; setuptools.setup()", *build], cwd=ROOT, check=True
    )
    return folder


def test_every_package_says_that_it_is_typed(installed: Path) -> None:
    (packages,) = installed.glob("venv/lib/python*/site-packages")
    assert [name for name in PACKAGES if not (packages / name / "py.typed").is_file()] == []


def test_a_consumers_mypy_sees_the_types_of_the_client(installed: Path) -> None:
    program = installed / "consumer.py"
    program.write_text(CONSUMER, "utf-8")
    options = ["--python-executable", str(installed / "venv/bin/python"), "--cache-dir", str(installed / "cache")]
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", "", *options, program.name],
        cwd=installed,
        capture_output=True,
        text=True,
    )
    # Untyped, all of it would be Any, and nothing wrong.
    errors = [line for line in checked.stdout.splitlines() if ": error: " in line]
    assert len(errors) == 2, checked.stdout + checked.stderr
    assert errors[0].startswith("consumer.py:5:")
    assert '(expression has type "int", variable has type "str")' in errors[0]
    assert 'consumer.py:6: error: Argument 1 to "EventConsumer" has incompatible type "str"' in errors[1]
