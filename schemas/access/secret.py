"""Secrets come from a file or from a command, are read when they are needed, and are shown nowhere."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from schemas.access.errors import SecretError

#: Seconds that a command (a vault's client) may take.
COMMAND_WITHIN_S = 10.0
#: A command's answer is used for so long: a process makes many clients, and a vault is not asked for each.
COMMAND_KEPT_S = 60.0


class Secret:
    """One secret. `read` gives what its source says now, so that a rotated one is used without a restart."""

    def __init__(self, variable: str, source: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`variable` ends in _FILE or _COMMAND and says what `source` is."""
        self.variable = variable
        self._source = source
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, str] | None = None

    def __repr__(self) -> str:
        return f"Secret({self.variable})"

    def read(self) -> str:
        """The secret without its line end. Raises SecretError, which names the variable only."""
        if self.variable.endswith("_FILE"):
            return self._said(self._from_file())
        with self._lock:
            if self._kept is None or self._clock() - self._kept[0] > COMMAND_KEPT_S:
                self._kept = (self._clock(), self._said(self._from_command()))
            return self._kept[1]

    def _from_file(self) -> str:
        try:
            return Path(self._source).read_text(encoding="utf-8")
        except OSError as error:
            raise SecretError(f"the file of {self.variable} cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SecretError(f"the file of {self.variable} is no text") from None

    def _from_command(self) -> str:
        try:
            # No shell: what a variable holds is a program and its arguments, not a script.
            done = subprocess.run(
                shlex.split(self._source), stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_WITHIN_S
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no command line"
            raise SecretError(f"the command of {self.variable} cannot be run: {reason}") from None
        except subprocess.TimeoutExpired:
            raise SecretError(f"the command of {self.variable} takes longer than {COMMAND_WITHIN_S:.0f} s") from None
        if done.returncode != 0:
            # What it printed is not repeated: it may be the secret.
            raise SecretError(f"the command of {self.variable} ended with exit code {done.returncode}")
        try:
            return done.stdout.decode()
        except UnicodeDecodeError:
            raise SecretError(f"what the command of {self.variable} gives is no text") from None

    def _said(self, text: str) -> str:
        secret = text.rstrip("\r\n")
        if not secret:
            raise SecretError(f"the secret of {self.variable} is empty")
        return secret
