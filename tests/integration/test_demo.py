"""`vigia demo` as a person runs it: again in the same folder, without a model, interrupted; nothing is left running."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


def environment(home: Path, **more: str) -> dict[str, str]:
    """No broker of anybody's, and a home of the test's own; what was downloaded is shared."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    env |= {name: os.environ[name] for name in ("VIGIA_CACHE_DIR",) if name in os.environ}
    return env | {"XDG_DATA_HOME": str(home), "COLUMNS": "80"} | more


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", "ops", "demo", *arguments]


def run(home: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = environment(home, **more)
    return subprocess.run(
        command("--cases", "7", *arguments), capture_output=True, text=True, env=env, timeout=500, check=False
    )


def left_running(folder: Path) -> list[int]:
    return [each.pid for each in psutil.process_iter(["cmdline"]) if str(folder) in str(each.info["cmdline"])]


@pytest.mark.timeout(1200)
def test_the_demo_reconciles_every_input_twice_and_leaves_nothing_running(tmp_path: Path) -> None:
    for _ in range(2):
        # A broker that is given is a hospital's: the demo must not even try it.
        done = run(tmp_path, VIGIA_BOOTSTRAP_SERVERS="127.0.0.1:1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "every input has its outcome: 11 inputs, 10 cases" in done.stdout
        assert "the audit chain holds" in done.stdout
        assert "acknowledged: its clock stands still, in time" in done.stdout
        assert "dead letter" in done.stdout
        assert "one set" in done.stdout
        assert re.search(r"emergencies \d+\.\d s at most, routine \d+\.\d s at most", done.stdout)
        assert "Decision support, not a diagnosis" in done.stdout
        # Lines of our own are lines, and not made visible as a stranger's would be.
        assert "\\x" not in done.stdout
    assert [path.name for path in (tmp_path / "vigia").glob("demo*")] == ["demo"]
    assert left_running(tmp_path) == []


def test_without_a_model_every_case_goes_to_people_and_the_demo_says_so(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    done = run(tmp_path, "--run-dir", str(tmp_path / "demo"), VIGIA_MODEL_DIR=str(tmp_path / "models"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "model none: 0 of 9 pictures as drawn; 9 without a class went to people" in done.stdout
    assert "every input has its outcome: 11 inputs, 10 cases" in done.stdout
    assert left_running(tmp_path) == []


def test_an_interrupted_demo_stops_everything_it_started(tmp_path: Path) -> None:
    running = subprocess.Popen(
        command("--cases", "7", "--keep"), stdout=subprocess.PIPE, text=True, env=environment(tmp_path)
    )
    with running:
        assert running.stdout is not None
        assert any("all stages serve" in line for line in running.stdout)
        assert left_running(tmp_path) != []
        running.send_signal(signal.SIGINT)
        assert "nothing is left running" in running.stdout.read()
    assert running.returncode == 130
    assert left_running(tmp_path) == []


def test_a_folder_that_is_not_a_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    done = run(tmp_path, "--run-dir", str(tmp_path))
    assert done.returncode == 1
    assert "choose another --run-dir" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "important"
