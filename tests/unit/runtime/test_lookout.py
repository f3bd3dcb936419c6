"""A process that freezes with records in hand is ended from outside, and what it had in hand is written down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

#: A limit on what must end; never waited for in full.
PATIENCE_S = 120.0
#: So long that a busy machine does not keep what moves from its turn.
FREEZE_S = 2.0
#: The program keeps its event loop's promise to beat until it does what the test wants; it ends with 7 by itself.
PROGRAM = """
import ctypes, sys, time
from streams.runtime.lookout import Lookout

def move(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        lookout.beat()
        time.sleep(0.05)

writer = (sys.executable, "-c", "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())", sys.argv[1])
lookout = Lookout(writer, freeze_s=%s)
lookout.start()
move(0.5)
%s
print("alive", flush=True)
lookout.close()
raise SystemExit(7)
"""
IN_HAND = "lookout.in_hand([('t', 1, 8), ('t', 1, 9), ('u', 1, 3), ('t', 2, 5)])\n"
FREEZES = {
    # The signal that asks where it stands ends a sleep in C.
    "holds the lock": "while True: ctypes.PyDLL(None).sleep(300)",
    "lets the lock go": "time.sleep(300)",
    "loops": "while True: pass",
}
LIVES = {
    "moves": IN_HAND + "move(3.0)",
    "has nothing in hand": "time.sleep(3.0)",
    "has nothing in hand any more": IN_HAND + "move(0.5)\nlookout.in_hand(())\ntime.sleep(3.0)",
    "is slow, and moves in between": IN_HAND + "for _ in range(6): time.sleep(0.5); lookout.beat()",
}


def command(tmp_path: Path, what: str) -> list[str]:
    return [sys.executable, "-c", PROGRAM % (FREEZE_S, what), str(tmp_path / "note")]


@pytest.mark.parametrize("how", FREEZES)
def test_what_was_in_hand_is_written_down_and_the_process_ended(tmp_path: Path, how: str) -> None:
    ended = subprocess.run(
        command(tmp_path, IN_HAND + FREEZES[how]), capture_output=True, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b""), ended.stderr
    assert json.loads((tmp_path / "note").read_text()) == {"1": {"t": [8, 9], "u": [3, 3]}, "2": {"t": [5, 5]}}
    assert b"has not moved" in ended.stderr
    assert b"most recent call first" in ended.stderr, "where it stood"


@pytest.mark.parametrize("how", LIVES)
def test_what_moves_or_has_nothing_in_hand_lives(tmp_path: Path, how: str) -> None:
    ended = subprocess.run(command(tmp_path, LIVES[how]), capture_output=True, timeout=PATIENCE_S, check=False)
    assert (ended.returncode, ended.stderr) == (7, b"")
    assert not (tmp_path / "note").exists()


def test_a_process_that_somebody_stops_is_not_frozen(tmp_path: Path) -> None:
    what = IN_HAND + "print('ready', flush=True)\nmove(1.0)"
    with subprocess.Popen(command(tmp_path, what), stdout=subprocess.PIPE) as stopped:
        assert stopped.stdout is not None
        assert stopped.stdout.readline() == b"ready\n"
        os.kill(stopped.pid, signal.SIGSTOP)
        time.sleep(2 * FREEZE_S)
        os.kill(stopped.pid, signal.SIGCONT)
        assert stopped.wait(PATIENCE_S) == 7
    assert not (tmp_path / "note").exists()
