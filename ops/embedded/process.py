"""A child process that logs to a file and cannot outlive its parent; it can be stopped, killed and paused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.embedded import guard
from ops.embedded.errors import EmbeddedError
from ops.embedded.heartbeat import Heartbeats

#: Seconds that a child gets to end by itself after SIGTERM: a broker closes its logs in well under one.
STOP_GRACE_S = 10.0
#: A log larger than this is renamed to `.1` at the next start, replacing the one before.
LOG_LIMIT_BYTES = 20 * 1024 * 1024
#: Lines of its log that an error message shows when a child fails.
SHOWN_LINES = 15


class ChildProcess:
    """One child under its guard (see `ops.embedded.guard`). Not thread-safe: one owner calls it.

    A `background` child leaves the processor, the disk and, should it run out, the memory to everything else.
    A child that `listens` is `vigia`: it starts with signals blocked and lets them through once it can handle them, so
    that none is too early for it.
    A child with `heartbeats` gives signs of life (`streams.liveness`); `silent_for_s` tells when they stay away.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace_s: float = STOP_GRACE_S,
        background: bool = False,
        listens: bool = False,
        heartbeats: Heartbeats | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self._command = [str(part) for part in command]
        self._env = None if env is None else dict(env)
        self._heartbeats = heartbeats
        if heartbeats is not None:
            self._env = {**(os.environ if env is None else env), "NOTIFY_SOCKET": heartbeats.address}
        self._cwd = cwd
        self._orders = (str(grace_s), "background" if background else "normal", "blocked" if listens else "open")
        self._guard: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """Process id of the child itself, not of its guard. Raises EmbeddedError when it does not run."""
        if self._pid is None:
            raise EmbeddedError(f"{self.name} is not running")
        return self._pid

    @property
    def running(self) -> bool:
        """Whether the child has been started and has not ended."""
        return self._guard is not None and self._guard.poll() is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before it was started; 128 + n after signal n."""
        code = None if self._guard is None else self._guard.poll()
        # Negative: the guard itself was killed by that signal, and the child with it.
        return 128 - code if code is not None and code < 0 else code

    def silent_for_s(self) -> float | None:
        """Seconds without a sign of life where these are too many; None while it lives, or if it gives none."""
        return None if self._heartbeats is None else self._heartbeats.silent_for_s()

    def start(self) -> None:
        """Start the child; its output is appended to the log."""
        if self.running:
            raise EmbeddedError(f"{self.name} is already running")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._rotate_log()
        if self._heartbeats is not None:
            self._heartbeats.started()
        head = (sys.executable, "-I", "-S", guard.__file__, str(os.getpid()), *self._orders)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self._guard = subprocess.Popen(
                [*head, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
                cwd=self._cwd,
                # Ctrl-C goes to the terminal's whole foreground group; only the parent may react, and stop its children
                # in its own order.
                process_group=0,
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as output:
            line = output.readline()
        self._pid = int(line) if line else None

    def wait(self, timeout_s: float | None = None) -> int:
        """Wait for the child to end by itself; returns its exit code. Raises subprocess.TimeoutExpired."""
        if self._guard is None:
            raise EmbeddedError(f"{self.name} was not started")
        self._guard.wait(timeout_s)
        self._pid = None
        code = self.exit_code
        assert code is not None
        return code

    def ask_to_stop(self) -> None:
        """Send SIGTERM and return at once; the guard follows with SIGKILL when the grace has passed."""
        if self._guard is not None and self._guard.poll() is None:
            self._guard.send_signal(signal.SIGTERM)

    def stop(self) -> int | None:
        """SIGTERM the child, and SIGKILL it after the grace; returns its exit code, None if it was never started."""
        self.ask_to_stop()
        return None if self._guard is None else self.wait()

    def kill(self) -> None:
        """SIGKILL the child: a crash."""
        self.signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """SIGSTOP: the child lives, and answers nobody."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        """Send the child a signal and return at once. Raises EmbeddedError when it does not run."""
        if not self.running:
            raise EmbeddedError(f"{self.name} is not running")
        os.kill(self.pid, number)

    def output(self) -> str:
        """What the child has written since its last start."""
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def last_lines(self) -> list[str]:
        """The end of its output, for an error message."""
        return self.output().splitlines()[-SHOWN_LINES:] if self.log.exists() else []

    def _rotate_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(f"{self.log.suffix}.1"))
