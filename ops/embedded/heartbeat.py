"""Hears whether the programs of a system live, in the way of systemd: `NOTIFY_SOCKET`, `WATCHDOG=1`, `READY=1`."""

from __future__ import annotations

import secrets
import socket
import time

#: Seconds of silence after which a program is ended. Longer than it takes to end itself (`streams.liveness.STALL_S`):
#: from outside only what is frozen as a whole has to be ended, and a program's own last words say where it stood.
SILENT_S = 36.0
#: Seconds to the first sign of life: imports and schemas, on a machine that starts everything at once.
START_S = 180.0


class Heartbeats:
    """The socket of one supervised program. One thread calls it."""

    def __init__(self, silent_s: float = SILENT_S, start_s: float = START_S) -> None:
        """Bind an abstract address: a path below a run folder may be longer than a socket's address."""
        self._silent_s, self._start_s = silent_s, start_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        #: For the program's environment.
        self.address = f"@vigia-{secrets.token_hex(16)}"
        self._socket.bind("\0" + self.address[1:])
        self._last = time.monotonic()
        self._heard = False

    def started(self) -> None:
        """The program starts anew: what the last one said is forgotten."""
        self._drain()
        self._last, self._heard = time.monotonic(), False

    def silent_for_s(self) -> float | None:
        """Seconds of silence where they are too many to wait any longer; None while the program lives."""
        now = time.monotonic()
        if self._drain():
            self._last, self._heard = now, True
        silence = now - self._last
        return silence if silence > (self._silent_s if self._heard else self._start_s) else None

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _drain(self) -> bool:
        heard = False
        # Bounded: whoever floods the socket must not keep the supervisor.
        for _ in range(64):
            try:
                message = self._socket.recv(256)
            except BlockingIOError:
                break
            heard = heard or b"WATCHDOG=1" in message or b"READY=1" in message
        return heard
