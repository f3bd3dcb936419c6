"""Keeps processes running: restarts one that ends, at first at once, then with growing delays if it keeps ending.

One that gives no sign of life is ended first (`ops.embedded.heartbeat`).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from ops.embedded.errors import EmbeddedError
from ops.embedded.process import ChildProcess

#: Seconds before the first restart. A worker that lost its broker or was fenced is needed again at once; the delay only
#: keeps the log readable.
FIRST_DELAY_S = 0.5
#: The longest delay, in seconds: whoever has removed the cause should not have to wait for the restart.
LONGEST_DELAY_S = 15.0
#: A process that ran this many seconds had started well; whatever ended it then is a new trouble.
STEADY_S = 30.0
#: Seconds between two looks at the processes.
LOOK_S = 0.1


class ProcessState(StrEnum):
    """What a supervised process is doing."""

    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """A supervised process at one moment."""

    name: str
    state: ProcessState
    pid: int | None
    #: Seconds in this state.
    for_s: float
    restarts: int
    exit_code: int | None


def restart_delay_s(short_lives: int) -> float:
    """Seconds to wait after `short_lives` runs in succession that ended early (0: the last one had run well)."""
    # After 16 doublings the bound applies anyway; a float would overflow after some hours of failing starts.
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(16, max(0, short_lives - 1)))


@dataclass(slots=True)
class _Supervised:
    child: ChildProcess
    since: float
    state: ProcessState = ProcessState.STOPPED
    due: float = 0.0
    restarts: int = 0
    short_lives: int = 0
    exit_code: int | None = None


class Supervisor:
    """Runs children until `stop`. `tell` gets one line per event that a person should know of, from any thread.

    With `leave_running`, `stop` only ends the supervision: somebody else ends the children.
    """

    def __init__(
        self, children: Sequence[ChildProcess], tell: Callable[[str], None], *, leave_running: bool = False
    ) -> None:
        now = time.monotonic()
        self._supervised = [_Supervised(child, since=now) for child in children]
        self._tell = tell
        self._leave_running = leave_running
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> Self:
        """Start every child and supervise them. A child that is already running is taken over."""
        with self._lock:
            for entry in self._supervised:
                if entry.child.running:
                    self._enter(entry, ProcessState.RUNNING)
                else:
                    self._launch(entry)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Send SIGTERM to all children together; each is killed when its own grace has passed."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._leave_running:
            return
        with self._lock:
            for entry in self._supervised:
                entry.child.ask_to_stop()
            for entry in self._supervised:
                entry.exit_code = entry.child.stop()
                self._enter(entry, ProcessState.STOPPED)

    def statuses(self) -> list[ProcessStatus]:
        """The status of every child, in the order of the constructor's `children`."""
        now = time.monotonic()
        with self._lock:
            return [
                ProcessStatus(
                    name=entry.child.name,
                    state=entry.state,
                    pid=entry.child.pid if entry.child.running else None,
                    for_s=now - entry.since,
                    restarts=entry.restarts,
                    exit_code=entry.exit_code,
                )
                for entry in self._supervised
            ]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._end.wait(LOOK_S):
            with self._lock:
                for entry in self._supervised:
                    self._look(entry)

    def _look(self, entry: _Supervised) -> None:
        if entry.state is ProcessState.RUNNING and not entry.child.running:
            lived = time.monotonic() - entry.since
            entry.short_lives = 0 if lived >= STEADY_S else entry.short_lives + 1
            entry.exit_code = entry.child.exit_code
            delay = restart_delay_s(entry.short_lives)
            entry.due = time.monotonic() + delay
            self._enter(entry, ProcessState.WAITING)
            self._tell(
                f"{entry.child.name} ended with exit code {entry.exit_code} after {lived:.0f} s; "
                f"starting again in {delay:.1f} s; its log is {entry.child.log}"
            )
        elif entry.state is ProcessState.RUNNING and (silence := entry.child.silent_for_s()) is not None:
            # It may be stopped, or swapped out, or in a loop in C: nothing less than this reaches it.
            self._tell(f"{entry.child.name} gave no sign of life for {silence:.0f} s: ending it")
            with suppress(OSError, EmbeddedError):
                entry.child.signal(signal.SIGKILL)
        elif entry.state is ProcessState.WAITING and time.monotonic() >= entry.due:
            entry.restarts += 1
            self._launch(entry)

    def _launch(self, entry: _Supervised) -> None:
        try:
            entry.child.start()
        except (OSError, EmbeddedError) as error:
            # Out of processes or memory: the next look finds that it has ended, and the delays grow.
            self._tell(f"{entry.child.name} could not be started: {error}")
        self._enter(entry, ProcessState.RUNNING)

    @staticmethod
    def _enter(entry: _Supervised, state: ProcessState) -> None:
        entry.state = state
        entry.since = time.monotonic()
