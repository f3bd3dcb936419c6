"""`vigia demo` as a person runs it: once and again in the same folder, and nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    command = [sys.executable, "-P", "-m", "ops", "demo", "--cases", "7", "--run-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=240, check=False)


@pytest.mark.timeout(500)
def test_the_demo_reconciles_every_input_and_leaves_nothing_running(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    for _ in range(2):
        done = run(folder)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "every input has its outcome: 11 inputs, 10 cases" in done.stdout
        assert "the audit chain holds" in done.stdout
        assert "acknowledged: its clock stands still" in done.stdout
    left = [process.pid for process in psutil.process_iter(["cmdline"]) if str(folder) in str(process.info["cmdline"])]
    assert left == []


def test_a_folder_that_is_not_a_demos_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    done = run(tmp_path)
    assert done.returncode == 1
    assert "choose another --run-dir" in done.stderr
    assert (tmp_path / "thesis.txt").read_text() == "important"
