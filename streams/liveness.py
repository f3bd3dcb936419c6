"""A process that has stopped moving ends itself: a supervisor can start another, and cannot mend one that is stuck.

The timer is `faulthandler`'s: a thread in C that needs no lock of the interpreter, so it ends a process whose only
running code is a loop in a C library that never lets the lock go. Whatever moves calls `beat`; whoever supervises hears
of it in the way of systemd (`sd_notify`), and ends a process that is frozen from outside.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

logger = logging.getLogger(__name__)

#: Seconds without a sign of life after which the process ends. An emergency behind it has 10 s once another has its
#: partitions; shorter, and a model that is loaded on a busy machine looks dead.
STALL_S = 30.0
#: Seconds between two signs of life at most, and at least: each starts a thread anew.
BEAT_S = 1.0
#: Where the last words go, by number: whatever stands still may hold Python's own stream.
STDERR = 2
#: How a program that was ended by itself because it stood still leaves, where it still can choose.
EXIT_STALLED = 74


class Heart:
    """The signs of life of one process. Every part that must move is named, and beats for itself.

    Thread-safe. Nothing is armed before the first beat.
    """

    def __init__(self, *parts: str, stall_s: float = STALL_S, env: Mapping[str, str] = os.environ) -> None:
        """`parts` must all beat; `env` may name systemd's socket."""
        now = time.monotonic()
        self.stall_s = stall_s
        self._beats = dict.fromkeys(parts or ("main",), now)
        self._armed_at: float | None = None
        self._lock = threading.Lock()
        self._supervisor = ServiceManager(env)

    def beat(self, part: str = "main") -> None:
        """This part has moved. Cheap: it may be called as often as one likes."""
        now = time.monotonic()
        with self._lock:
            self._beats[part] = now
            if self._armed_at is not None and now - self._armed_at < min(BEAT_S, self.stall_s / 4):
                return
            if now - min(self._beats.values()) > self.stall_s / 2:
                # Another part is late: the timer runs on, and is set again when that part has moved.
                return
            first, self._armed_at = self._armed_at is None, now
            faulthandler.dump_traceback_later(self.stall_s, exit=True, file=STDERR)
        # Started is what moves; whether it has its partitions, /readyz tells.
        self._supervisor.tell("READY=1\nWATCHDOG=1" if first else "WATCHDOG=1")

    def check(self) -> tuple[bool, str]:
        """Whether everything moves, and which part does not: for `/healthz`."""
        now = time.monotonic()
        with self._lock:
            late = {part: now - at for part, at in self._beats.items() if now - at > self.stall_s}
        if not late:
            return True, "ok"
        return False, ", ".join(f"{part} has not moved for {age:.0f} s" for part, age in sorted(late.items()))

    def stop(self) -> None:
        """The program ends by itself; from here on nothing needs to move."""
        with self._lock:
            self._armed_at = None
            faulthandler.cancel_dump_traceback_later()


class ServiceManager:
    """Whoever started this program and wants to hear from it: `NOTIFY_SOCKET` as systemd and `vigia up` set it."""

    def __init__(self, env: Mapping[str, str] = os.environ) -> None:
        address = env.get("NOTIFY_SOCKET", "")
        # An abstract address is written with an @ and begins with a null byte.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def tell(self, message: str) -> None:
        """Send one message. One that cannot be sent is no reason to stop: who is not heard will be ended."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto(message.encode(), self._address)
        except OSError as error:
            logger.debug("the supervisor does not hear: %s", error.strerror)


@contextmanager
def where_supervised() -> Iterator[Callable[[], None]]:
    """The beat of a heart where somebody listens; nothing for a program at a terminal.

    There a person sees that it stands still, and may hold it up for as long as that person reads (a pager, ctrl-S).
    """
    if not ServiceManager().listens:
        yield lambda: None
        return
    heart = Heart()
    try:
        yield heart.beat
    finally:
        heart.stop()


class Progress:
    """Whether a stage moves, on values: what it has taken up, and what waits for it. One thread uses it."""

    def __init__(self, batch_limit_s: float, idle_limit_s: float) -> None:
        """`batch_limit_s`: how long one batch may take; `idle_limit_s`: how long records may wait untaken."""
        self._batch_limit_s = batch_limit_s
        self._idle_limit_s = idle_limit_s
        self._batch_since: float | None = None
        self._positions: Mapping[object, int] = {}
        self._waiting_since: float | None = None

    def begin(self, now: float) -> None:
        """A batch is taken up."""
        self._batch_since = now

    @property
    def busy(self) -> bool:
        """Whether a batch was taken up and is not done."""
        return self._batch_since is not None

    def end(self, now: float) -> None:
        """It is done."""
        self._batch_since = None
        if self._waiting_since is not None:
            self._waiting_since = now

    def saw(self, positions: Mapping[object, int], waiting: bool, now: float) -> None:
        """Where the stage reads (position per partition), and whether the broker has more than that."""
        if not waiting or positions != self._positions:
            self._waiting_since = now if waiting else None
        elif self._waiting_since is None:
            self._waiting_since = now
        self._positions = dict(positions)

    def stalled(self, now: float) -> str | None:
        """What stands still, in one line; None while all moves."""
        if self._batch_since is not None and now - self._batch_since > self._batch_limit_s:
            return f"a batch has not ended for {now - self._batch_since:.0f} s"
        if (
            self._batch_since is None
            and self._waiting_since is not None
            and now - self._waiting_since > self._idle_limit_s
        ):
            return f"records wait, and none was taken up for {now - self._waiting_since:.0f} s"
        return None
