"""Keeps processes running: one that ends is started again, at once first, later and later if it keeps ending."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Self

from ops.embedded.errors import EmbeddedError
from ops.embedded.process import ChildProcess

#: Seconds before the first new start. A worker that lost its broker or was fenced is wanted back at once; this only
#: keeps the log readable.
FIRST_DELAY_S = 0.5
#: The most that a process is left down: who mended the cause should not have to wait for us.
LONGEST_DELAY_S = 15.0
#: A process that ran this long had started well; what ended it then is a new trouble.
STEADY_S = 30.0
#: Between looks at the processes.
LOOK_S = 0.1


class ProcessState(StrEnum):
    """What a supervised process is doing."""

    RUNNING = "running"
    WAITING = "waiting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """One process at this moment."""

    name: str
    state: ProcessState
    pid: int | None
    #: Seconds in this state.
    for_s: float
    restarts: int
    exit_code: int | None


def restart_delay_s(short_lives: int) -> float:
    """Seconds to wait after the n-th life in a row that ended early (0: it had run well)."""
    # Past 16 doublings the bound rules anyway; a float would overflow after some hours of failing starts.
    return min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(16, max(0, short_lives - 1)))


@dataclass(slots=True)
class _Kept:
    child: ChildProcess
    since: float
    state: ProcessState = ProcessState.STOPPED
    due: float = 0.0
    restarts: int = 0
    short_lives: int = 0
    exit_code: int | None = None


class Supervisor:
    """Runs children until `stop`. `tell` gets one line for each thing that a person should know; any thread calls it.

    Children that somebody else ends (`leave_running`) are only watched over until then.
    """

    def __init__(
        self, children: Sequence[ChildProcess], tell: Callable[[str], None], *, leave_running: bool = False
    ) -> None:
        now = time.monotonic()
        self._kept = [_Kept(child, since=now) for child in children]
        self._tell = tell
        self._leave_running = leave_running
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> Self:
        """Start every child and watch over them. A child that is running already is taken over."""
        with self._lock:
            for kept in self._kept:
                if kept.child.running:
                    self._enter(kept, ProcessState.RUNNING)
                else:
                    self._launch(kept)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ask all to end together; each is killed when its own grace has passed."""
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._leave_running:
            return
        with self._lock:
            for kept in self._kept:
                kept.child.ask_to_stop()
            for kept in self._kept:
                kept.exit_code = kept.child.stop()
                self._enter(kept, ProcessState.STOPPED)

    def statuses(self) -> list[ProcessStatus]:
        """Every child, in the order given."""
        now = time.monotonic()
        with self._lock:
            return [
                ProcessStatus(
                    name=kept.child.name,
                    state=kept.state,
                    pid=kept.child.pid if kept.child.running else None,
                    for_s=now - kept.since,
                    restarts=kept.restarts,
                    exit_code=kept.exit_code,
                )
                for kept in self._kept
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
                for kept in self._kept:
                    self._look(kept)

    def _look(self, kept: _Kept) -> None:
        if kept.state is ProcessState.RUNNING and not kept.child.running:
            lived = time.monotonic() - kept.since
            kept.short_lives = 0 if lived >= STEADY_S else kept.short_lives + 1
            kept.exit_code = kept.child.exit_code
            delay = restart_delay_s(kept.short_lives)
            kept.due = time.monotonic() + delay
            self._enter(kept, ProcessState.WAITING)
            self._tell(
                f"{kept.child.name} ended with exit code {kept.exit_code} after {lived:.0f} s; "
                f"starting again in {delay:.1f} s; its log is {kept.child.log}"
            )
        elif kept.state is ProcessState.WAITING and time.monotonic() >= kept.due:
            kept.restarts += 1
            self._launch(kept)

    def _launch(self, kept: _Kept) -> None:
        try:
            kept.child.start()
        except (OSError, EmbeddedError) as error:
            # Out of processes or memory: the next look finds it ended, and the delays grow.
            self._tell(f"{kept.child.name} could not be started: {error}")
        self._enter(kept, ProcessState.RUNNING)

    @staticmethod
    def _enter(kept: _Kept, state: ProcessState) -> None:
        kept.state = state
        kept.since = time.monotonic()
