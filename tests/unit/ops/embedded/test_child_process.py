"""A child never outlives its parent, and a stop always ends: with real processes, killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops.embedded.errors import EmbeddedError
from ops.embedded.process import ChildProcess

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(300)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(300)",
]
#: Not a program of ours, but one that handles SIGTERM and then lets it through, as ours do.
LISTENING = [
    sys.executable,
    "-c",
    "import os, signal, time; signal.signal(signal.SIGTERM, lambda *_: os._exit(7))\n"
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM}); time.sleep(300)",
]
#: A parent that starts a child from a thread that ends at once, tells the child's pid, and stays.
PARENT = """
import sys, threading, time
from pathlib import Path
from ops.embedded.process import ChildProcess
child = ChildProcess("child", [sys.executable, "-c", "import time; time.sleep(300)"], log=Path(sys.argv[1]))
starter = threading.Thread(target=child.start)
starter.start()
starter.join()
print(child.pid, flush=True)
time.sleep(300)
"""


def eventually(condition: Callable[[], bool], within_s: float = 90.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.fixture
def orphanable(tmp_path: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A parent process of a child; (parent, child's pid)."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT, tmp_path / "log"], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
    return parent, pid


def test_the_child_of_a_killed_parent_ends(orphanable: tuple[subprocess.Popen[bytes], int]) -> None:
    parent, pid = orphanable
    assert not is_gone(pid)
    parent.kill()
    parent.wait()
    assert eventually(lambda: is_gone(pid))


def test_the_child_lives_on_when_the_thread_that_started_it_has_ended(
    orphanable: tuple[subprocess.Popen[bytes], int],
) -> None:
    parent, pid = orphanable
    # Several of the guard's looks: with a signal bound to the thread it would be gone by now.
    time.sleep(0.6)
    assert not is_gone(pid)
    parent.terminate()
    parent.wait()
    assert eventually(lambda: is_gone(pid))


def test_the_child_of_a_killed_guard_ends(tmp_path: Path) -> None:
    child = ChildProcess("child", SLEEP, log=tmp_path / "log")
    child.start()
    guard = psutil.Process(child.pid).parent()
    assert guard is not None
    pid = child.pid
    guard.kill()
    assert eventually(lambda: is_gone(pid))
    assert child.wait() != 0


def test_stop_ends_a_child_that_ignores_sigterm(tmp_path: Path) -> None:
    child = ChildProcess("child", DEAF, log=tmp_path / "log", grace_s=0.3)
    child.start()
    assert eventually(lambda: "ready" in child.output())
    assert child.stop() == 128 + signal.SIGKILL


def test_stop_ends_a_paused_child_gently(tmp_path: Path) -> None:
    child = ChildProcess("child", SLEEP, log=tmp_path / "log")
    child.start()
    assert eventually(lambda: "ready" in child.output())
    child.pause()
    assert eventually(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
    assert child.stop() == 128 + signal.SIGTERM


def test_stop_takes_what_the_child_started_along(tmp_path: Path) -> None:
    code = "import subprocess, time; print(subprocess.Popen(['sleep', '300']).pid, flush=True); time.sleep(300)"
    child = ChildProcess("child", [sys.executable, "-c", code], log=tmp_path / "log")
    child.start()
    assert eventually(lambda: child.output().strip() != "")
    grandchild = int(child.output())
    child.stop()
    assert eventually(lambda: is_gone(grandchild))


def test_a_kill_is_told_apart_from_an_end(tmp_path: Path) -> None:
    child = ChildProcess("child", SLEEP, log=tmp_path / "log")
    child.start()
    child.kill()
    assert child.exit_code == 128 + signal.SIGKILL
    ending = ChildProcess("child", [sys.executable, "-c", "raise SystemExit(3)"], log=tmp_path / "log")
    ending.start()
    assert ending.wait() == 3


def test_output_is_that_of_the_last_start_only(tmp_path: Path) -> None:
    for word in ("first", "second"):
        child = ChildProcess("child", [sys.executable, "-c", f"print('{word}')"], log=tmp_path / "log")
        child.start()
        child.wait()
    assert child.output() == "second\n"
    assert (tmp_path / "log").read_text() == "first\nsecond\n"


def test_a_program_that_does_not_exist_is_told_in_the_log(tmp_path: Path) -> None:
    child = ChildProcess("child", ["/nowhere/java"], log=tmp_path / "log")
    child.start()
    assert child.wait() == 127
    assert child.last_lines() == ["/nowhere/java cannot be started: No such file or directory"]
    with pytest.raises(EmbeddedError, match="child is not running"):
        child.pause()


def test_a_background_child_gives_way(tmp_path: Path) -> None:
    usual = ChildProcess("usual", SLEEP, log=tmp_path / "usual")
    background = ChildProcess("background", SLEEP, log=tmp_path / "background", background=True)
    usual.start()
    background.start()
    try:
        assert os.getpriority(os.PRIO_PROCESS, background.pid) == os.getpriority(os.PRIO_PROCESS, usual.pid) + 10 or (
            os.getpriority(os.PRIO_PROCESS, background.pid) == 19
        )
        assert os.sched_getscheduler(background.pid) == os.SCHED_BATCH
        # Niceness counts between processes of one session only, where autogroups are on.
        assert os.getsid(background.pid) == os.getsid(usual.pid) == os.getsid(0)
    finally:
        usual.stop()
        background.stop()


def test_ctrl_c_in_the_terminal_does_not_reach_the_child(tmp_path: Path) -> None:
    child = ChildProcess("child", SLEEP, log=tmp_path / "log")
    child.start()
    try:
        guard = psutil.Process(child.pid).ppid()
        assert os.getpgid(0) not in (os.getpgid(child.pid), os.getpgid(guard))
    finally:
        child.stop()


def test_many_children_started_at_once_from_threads_all_stop(tmp_path: Path) -> None:
    children = [ChildProcess(f"child {n}", SLEEP, log=tmp_path / f"log-{n}") for n in range(8)]
    threads = [threading.Thread(target=child.start) for child in children]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pids = [child.pid for child in children]
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()
    assert all(is_gone(pid) for pid in pids)


def test_a_child_that_listens_is_not_stopped_before_it_can_handle_that(tmp_path: Path) -> None:
    listening = ChildProcess("listening", LISTENING, log=tmp_path / "log", listens=True)
    listening.start()
    assert listening.stop() == 7
