"""Watches one worker from outside; started by `lookout`, as a program that needs nothing but the standard library.

It sees whether the worker's event loop moves, and what is in hand, in memory that both share. A worker that has records
in hand and does not move for too long is frozen, by one of them: that is written down by a process of its own, and the
worker is ended. Nothing within the worker could do either: what froze it may hold the interpreter's lock.
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress

#: Signs of life, and the length of what is in hand (UTF-8 JSON), which follows.
HEAD = struct.Struct("QI")
#: Bytes that are shared. What does not fit is not said, and then nobody knows what was in hand.
SIZE = 64 * 1024
#: Seconds between two looks. A look that comes late counts as two at most: then this process had no processor either.
LOOK_S = 0.25
#: Seconds for writing down what was in hand before the worker is ended; in a container its end is the end of all.
WRITE_S = 3.0
#: For the worker to say where it stood, in C, before it is ended.
LAST_WORDS, LAST_WORDS_S = signal.SIGUSR2, 0.3
#: How much longer it must stand still where the kernel does not tell how long it waited for a processor.
UNTOLD = 4.0


class Stillness:
    """For how long the event loop of a process has stood still, by its own fault. The main thread runs the loop."""

    def __init__(self, pid: int, limit_s: float) -> None:
        self._pid, self._limit_s = pid, limit_s
        self._looked = time.monotonic()
        #: Thread → seconds that it has waited for a processor so far; None while the loop moves.
        self._waited: dict[str, float] | None = None
        self.still_s = 0.0

    def look(self, moved: bool) -> bool:
        """Whether it has stood still for too long; `moved`: it has not since the last look."""
        now, before = time.monotonic(), self._waited
        if moved:
            self.still_s, self._waited, self._looked = 0.0, None, now
            return False
        self._waited = self._waited_s()
        if before is not None and not self._stopped():
            # The loop may also wait for the interpreter's lock, and whoever holds that for a processor.
            unserved_s = max(
                (s - before[thread] for thread, s in self._waited.items() if thread in before), default=0.0
            )
            self.still_s += max(0.0, min(now - self._looked, 2 * LOOK_S) - unserved_s)
        self._looked = now
        return self.still_s > (self._limit_s if self._waited else UNTOLD * self._limit_s)

    def _stopped(self) -> bool:
        """Whether somebody stopped it by a signal: that is no freeze, and not its records' fault."""
        return self._read(str(self._pid), "stat").rpartition(") ")[2][:1] in ("T", "t")

    def _waited_s(self) -> dict[str, float]:
        """Nothing where the kernel does not tell."""
        try:
            threads = os.listdir(f"/proc/{self._pid}/task")
        except OSError:
            return {}
        figures = {thread: self._read(thread, "schedstat").split() for thread in threads}
        return {thread: int(found[1]) / 1e9 for thread, found in figures.items() if len(found) == 3}

    def _read(self, thread: str, name: str) -> str:
        try:
            with open(f"/proc/{self._pid}/task/{thread}/{name}") as file:
                return file.read()
        except OSError:
            return ""


def main(pid: int, fd: int, limit_s: float, *writer: str) -> None:
    """Watch the process `pid` until it ends (end of standard input); `writer` is the command that writes down."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Whoever ends the worker in good order means it alone: this process ends with it.
        signal.signal(number, signal.SIG_IGN)
    shared = mmap.mmap(fd, SIZE, prot=mmap.PROT_READ)
    worker, before = Stillness(pid, limit_s), -1
    while not select.select([0], [], [], LOOK_S)[0]:
        beats, length = HEAD.unpack_from(shared)
        frozen, before = worker.look(beats != before or not length), beats
        if frozen:
            _end(pid, bytes(shared[HEAD.size : HEAD.size + length]), worker.still_s, writer)
            return


def _end(pid: int, in_hand: bytes, still_s: float, writer: tuple[str, ...]) -> None:
    os.write(2, b"the event loop of %d has not moved for %.1f s with records in hand: ending it\n" % (pid, still_s))
    writing = subprocess.Popen(writer, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    # Where that takes longer it goes on beside us, and comes later than it should.
    with suppress(subprocess.TimeoutExpired):
        writing.communicate(in_hand, WRITE_S)
    with suppress(ProcessLookupError):
        os.kill(pid, LAST_WORDS)
        time.sleep(LAST_WORDS_S)
        os.kill(pid, signal.SIGKILL)
    writing.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), *sys.argv[4:])
