"""What stands still is ended: by itself, even in a C function that holds the interpreter's lock, and from outside."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.embedded.heartbeat import Heartbeats
from ops.embedded.process import ChildProcess
from ops.system.supervisor import Supervisor
from streams.liveness import Heart, Progress
from tests.unit.ops.system.test_supervisor import eventually

#: A limit on what must end; never waited for in full.
PATIENCE_S = 60.0

BEATING = "from streams.liveness import Heart; import time; heart = Heart(stall_s=1.0); heart.beat(); "
#: `ctypes.PyDLL` calls without letting the interpreter's lock go, as a loop in a C decoder does.
STANDING_STILL = {
    "holds the lock": BEATING + "import ctypes; ctypes.PyDLL(None).sleep(300)",
    "lets the lock go": BEATING + "time.sleep(300)",
    "a part stands still": (
        "from streams.liveness import Heart; import time; heart = Heart('one', 'two', stall_s=1.0)\n"
        "heart.beat('two')\nwhile True: heart.beat('one'); time.sleep(0.05)"
    ),
}


@pytest.mark.parametrize("how", STANDING_STILL)
def test_a_process_that_stands_still_ends_itself_and_says_where_it_stood(how: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STANDING_STILL[how]], capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert ended.returncode == 1
    assert b"Timeout" in ended.stderr
    assert b"most recent call first" in ended.stderr


def test_a_process_that_moves_lives_and_ends_as_it_wants() -> None:
    moving = (
        "from streams.liveness import Heart; import time; heart = Heart(stall_s=2.5)\n"
        "for _ in range(60): heart.beat(); time.sleep(0.05)\n"
        "heart.stop(); time.sleep(3.0); raise SystemExit(7)"
    )
    ended = subprocess.run([sys.executable, "-c", moving], capture_output=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stderr) == (7, b"")


def test_a_program_that_is_frozen_from_outside_is_ended_and_started_again(tmp_path: Path) -> None:
    lines: list[str] = []
    beating = (
        "from streams.liveness import Heart; import time; heart = Heart()\nwhile True: heart.beat(); time.sleep(0.1)"
    )
    heartbeats = Heartbeats(silent_s=5.0, start_s=PATIENCE_S)
    child = ChildProcess("lag-exporter", [sys.executable, "-c", beating], log=tmp_path / "log", heartbeats=heartbeats)
    with Supervisor([child], lines.append) as supervisor:
        first = child.pid
        assert eventually(lambda: heartbeats._heard, PATIENCE_S)
        os.kill(first, signal.SIGSTOP)
        assert eventually(lambda: supervisor.statuses()[0].pid not in (None, first), PATIENCE_S)
    # On a busy machine the program may have been silent for as long before it was stopped.
    assert "gave no sign of life" in lines[0]
    assert any("exit code 137" in line for line in lines), lines


def test_a_program_that_never_gives_a_sign_is_ended_too(tmp_path: Path) -> None:
    lines: list[str] = []
    child = ChildProcess(
        "canary",
        [sys.executable, "-c", "import time; time.sleep(300)"],
        log=tmp_path / "log",
        heartbeats=Heartbeats(silent_s=0.1, start_s=0.5),
    )
    with Supervisor([child], lines.append):
        assert eventually(lambda: bool(lines), PATIENCE_S)
    assert "gave no sign of life" in lines[0]


def test_a_supervisor_hears_that_a_program_is_ready_and_then_that_it_lives() -> None:
    address = f"\0vigia-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address)
        supervisor.settimeout(PATIENCE_S)
        heart = Heart(stall_s=PATIENCE_S, env={"NOTIFY_SOCKET": "@" + address[1:]})
        try:
            heart.beat()
            assert supervisor.recv(100) == b"READY=1\nWATCHDOG=1"
            assert eventually(lambda: _beaten(heart, supervisor), PATIENCE_S)
        finally:
            heart.stop()


def _beaten(heart: Heart, supervisor: socket.socket) -> bool:
    heart.beat()
    supervisor.settimeout(0.05)
    try:
        return supervisor.recv(100) == b"WATCHDOG=1"
    except TimeoutError:
        return False


def test_health_names_the_part_that_does_not_move() -> None:
    heart = Heart("lag", "clinical", stall_s=1.0)
    try:
        assert heart.check() == (True, "ok")
        assert eventually(lambda: heart.check()[0] is False, PATIENCE_S)
        assert "clinical has not moved" in heart.check()[1]
    finally:
        heart.stop()


#: What happens to a stage in turn: seconds that pass, and an event.
EVENTS = st.lists(
    st.tuples(st.floats(0, 20), st.sampled_from(["begin", "end", "moves", "waits", "nothing waits"])), max_size=60
)


@given(EVENTS)
def test_a_stage_stands_still_only_where_a_batch_is_too_long_or_what_waits_is_not_taken_up(
    events: list[tuple[float, str]],
) -> None:
    progress, now, position = Progress(30, 60), 0.0, 0
    began: float | None = None
    still: float | None = None
    for seconds, event in events:
        now += seconds
        if event == "begin":
            began = now
            progress.begin(now)
        elif event == "end":
            began = None
            still = None if still is None else now
            progress.end(now)
        elif event == "nothing waits":
            still = None
            progress.saw({0: position}, False, now)
        else:
            if event == "moves":
                position += 1
                still = now
            still = now if still is None else still
            progress.saw({0: position}, True, now)
        expected = (began is not None and now - began > 30) or (
            began is None and still is not None and now - still > 60
        )
        assert (progress.stalled(now) is not None) == expected


def test_an_idle_stage_never_stands_still() -> None:
    progress = Progress(30, 60)
    for now in range(0, 1_000, 10):
        progress.saw({0: 5}, False, float(now))
        assert progress.stalled(float(now)) is None


def test_a_consumer_that_somebody_supervises_tells_that_it_lives_also_while_no_broker_answers() -> None:
    address = f"vigia-test-consume-{os.getpid()}"
    env = {
        **os.environ,
        "NOTIFY_SOCKET": f"@{address}",
        "VIGIA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "VIGIA_SCHEMA_REGISTRY_URL": "http://127.0.0.1:1",
    }
    command = [sys.executable, "-m", "ops", "consume", "vigia.gradings", "--group", "g"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(f"\0{address}")
        supervisor.settimeout(PATIENCE_S)
        with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as consumer:
            try:
                assert supervisor.recv(100) == b"READY=1\nWATCHDOG=1"
                assert supervisor.recv(100) == b"WATCHDOG=1"
            finally:
                consumer.kill()
