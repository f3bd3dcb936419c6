"""Processes are kept running, and stop when told to."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ops.embedded.process import ChildProcess
from ops.system.supervisor import FIRST_DELAY_S, LONGEST_DELAY_S, ProcessState, Supervisor, restart_delay_s

SLEEP = [sys.executable, "-c", "import time; time.sleep(300)"]


def eventually(condition: Callable[[], bool], within_s: float = 90.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_a_process_that_is_killed_comes_back(tmp_path: Path) -> None:
    lines: list[str] = []
    child = ChildProcess("grading", SLEEP, log=tmp_path / "log")
    with Supervisor([child], lines.append) as supervisor:
        first = supervisor.statuses()[0].pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        assert eventually(
            lambda: (
                supervisor.statuses()[0].state is ProcessState.RUNNING
                and supervisor.statuses()[0].pid not in (None, first)
            )
        )
        status = supervisor.statuses()[0]
    assert status.restarts == 1
    assert status.exit_code == 128 + signal.SIGKILL
    assert len(lines) == 1
    assert "grading ended with exit code 137" in lines[0]
    assert str(tmp_path / "log") in lines[0]


def test_a_process_that_keeps_ending_is_started_again_and_again(tmp_path: Path) -> None:
    lines: list[str] = []
    child = ChildProcess("grading", [sys.executable, "-c", "raise SystemExit(75)"], log=tmp_path / "log")
    with Supervisor([child], lines.append) as supervisor:
        assert eventually(lambda: len(lines) >= 3)
        assert supervisor.statuses()[0].restarts >= 2
    assert "starting again in 0.5 s" in lines[0]
    assert "starting again in 2.0 s" in lines[2]


def test_stop_ends_all_and_none_is_started_again(tmp_path: Path) -> None:
    children = [ChildProcess(f"worker {n}", SLEEP, log=tmp_path / f"log-{n}") for n in range(3)]
    supervisor = Supervisor(children, lambda _: None).start()
    supervisor.stop()
    assert [status.state for status in supervisor.statuses()] == [ProcessState.STOPPED] * 3
    assert [status.pid for status in supervisor.statuses()] == [None] * 3


def test_children_of_another_owner_are_left_running(tmp_path: Path) -> None:
    child = ChildProcess("broker", SLEEP, log=tmp_path / "log")
    child.start()
    try:
        with Supervisor([child], lambda _: None, leave_running=True) as supervisor:
            assert supervisor.statuses()[0].pid == child.pid
        assert child.running
    finally:
        child.stop()


@given(st.integers(min_value=0, max_value=10_000))
def test_delays_grow_and_are_bounded(short_lives: int) -> None:
    assert FIRST_DELAY_S <= restart_delay_s(short_lives) <= restart_delay_s(short_lives + 1) <= LONGEST_DELAY_S
