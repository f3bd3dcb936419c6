"""`vigia up` as a person meets it: found by other commands, mends its workers, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from ops.system.context import read_run_file, running_system

VIGIA = [sys.executable, "-P", "-m", "ops"]
#: Alone on two cores all stages serve after 8 s.
PATIENCE_S = 180.0


class Up:
    """`vigia up` in a process of its own, and what it printed so far."""

    def __init__(self, run_dir: Path, env: dict[str, str], log: Path) -> None:
        self.run_dir = run_dir
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [*VIGIA, "up", "--run-dir", run_dir], stdout=output, stderr=subprocess.STDOUT, env=env
            )

    def says(self, text: str) -> bool:
        assert self.process.poll() is None or text in self._log.read_text(), self._log.read_text()
        return text in self._log.read_text()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def eventually(condition: Callable[[], bool], within_s: float = PATIENCE_S) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A person's environment that says nothing of Kafka."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    if cache := os.environ.get("VIGIA_CACHE_DIR"):
        kept["VIGIA_CACHE_DIR"] = cache
    return {**kept, "XDG_DATA_HOME": str(tmp_path / "share")}


@pytest.fixture
def start(tmp_path: Path, env: dict[str, str]) -> Iterator[Callable[[], Up]]:
    """Start `vigia up` and wait until all stages serve."""
    started: list[Up] = []

    def starting() -> Up:
        up = Up(tmp_path / "run", env, tmp_path / f"up-{len(started)}.log")
        started.append(up)
        assert eventually(lambda: up.says("all stages serve"))
        return up

    yield starting
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()


def test_up_is_found_mends_its_workers_and_leaves_nothing_behind(start: Callable[[], Up], env: dict[str, str]) -> None:
    up = start()
    told = read_run_file(up.run_dir)
    assert running_system(env) == up.run_dir
    checked = subprocess.run([*VIGIA, "topics", "check"], env=env, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr

    grading = [process for process in up.descendants() if process.cmdline()[-3:-2] == ["grading"]]
    for process in grading:
        process.kill()
    assert eventually(lambda: up.says("grading ended with exit code 137"))

    children = up.descendants()
    up.process.kill()
    up.process.wait()
    assert eventually(lambda: all(ended(child) for child in children))
    assert running_system(env) is None

    again = start()
    # Same folder, same key: a patient keeps the token.
    assert read_run_file(again.run_dir)["VIGIA_TOKEN_KEY_FILE"] == told["VIGIA_TOKEN_KEY_FILE"]
    children = again.descendants()
    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(PATIENCE_S) == 0
    assert all(ended(child) for child in children)


def test_a_second_up_in_the_same_folder_says_so_in_one_line(tmp_path: Path, env: dict[str, str]) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from pathlib import Path; from ops.system.context import holding\n"
            "with holding(Path(sys.argv[1])): print('held', flush=True); time.sleep(300)",
            tmp_path / "run",
        ],
        env=env,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    with holder.stdout:
        holder.stdout.readline()
    try:
        second = subprocess.run(
            [*VIGIA, "up", "--run-dir", tmp_path / "run"], env=env, capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "already running" in second.stderr
        assert len(second.stderr.splitlines()) == 1
    finally:
        holder.kill()
        holder.wait()
