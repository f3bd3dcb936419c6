"""The worker's side of `lookout_child`: starts it, and tells it that the event loop moves and what is in hand."""

from __future__ import annotations

import faulthandler
import json
import logging
import mmap
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from streams.liveness import STDERR
from streams.runtime import lookout_child
from streams.runtime.freezes import spans
from streams.runtime.lookout_child import HEAD, SIZE

logger = logging.getLogger(__name__)

#: Seconds of its own, time without a processor left out, for which an event loop that has records in hand may stand
#: still. Whatever a stage does beside waiting takes milliseconds; the model works in a thread.
FREEZE_S = 3.0


def note_command(bootstrap_servers: str, state_topic: str) -> tuple[str, ...]:
    """The command line that writes a freeze down on the state topic of a stage."""
    # Where this process may not import from its working folder, that one may not either.
    safe = ("-P",) if sys.flags.safe_path else ()
    return (sys.executable, *safe, "-m", "streams.runtime.freeze_note", bootstrap_servers, state_topic)


class Lookout:
    """Somebody else who sees this process freeze. One thread uses it, that of the event loop."""

    def __init__(self, writer: Sequence[str], *, freeze_s: float = FREEZE_S) -> None:
        """`writer` is the command that writes down what was in hand (`freezes.spans` as JSON on standard input)."""
        self._writer = writer
        self._freeze_s = freeze_s
        self._shared: mmap.mmap | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._beats = 0
        self._length = 0

    def start(self) -> None:
        """Start the process that watches this one. Without it deaths are counted, as ever."""
        descriptor = os.memfd_create("vigia-lookout")
        try:
            os.ftruncate(descriptor, SIZE)
            self._shared = mmap.mmap(descriptor, SIZE)
            numbers = [str(os.getpid()), str(descriptor), str(self._freeze_s)]
            # Without site packages and environment: a few megabytes, and a start of hundredths of a second.
            command = [sys.executable, "-S", "-E", "-s", lookout_child.__file__, *numbers, *self._writer]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=(descriptor,)
            )
        except OSError as error:
            logger.error("nobody will see this process freeze: %s", error.strerror)
            return
        finally:
            os.close(descriptor)
        # In C, so that it is heard whatever holds the interpreter's lock.
        faulthandler.register(lookout_child.LAST_WORDS, file=STDERR, all_threads=True)

    def beat(self) -> None:
        """The event loop moves."""
        self._beats += 1
        self._write()

    def in_hand(self, positions: Sequence[tuple[str, int, int]]) -> None:
        """These records (topic, partition, offset) are worked on from now on; none: nothing is."""
        if self._shared is None:
            return
        said = json.dumps(spans(positions)).encode() if positions else b""
        self._length = len(said) if len(said) <= SIZE - HEAD.size else 0
        self._shared[HEAD.size : HEAD.size + self._length] = said[: self._length]
        self.beat()

    def close(self) -> None:
        """Let it end."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
            process.wait()

    def _write(self) -> None:
        if self._shared is not None:
            HEAD.pack_into(self._shared, 0, self._beats, self._length)
