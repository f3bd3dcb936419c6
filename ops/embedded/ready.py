"""Waits for a service that was just started: until it is ready, it ends, or the time is up."""

from __future__ import annotations

import time
from collections.abc import Callable

from ops.embedded.errors import PortTakenError, StartError
from ops.embedded.process import ChildProcess

#: Alone on two cores a broker needs 1 s, the registry 2 s. Beside a test suite and a model that warms up it can be
#: twenty times that; a service that takes longer than this is broken rather than slow.
START_TIMEOUT_S = 90.0
#: Seconds between two checks: short compared with the second that a start takes, long compared with a check.
LOOK_S = 0.03
#: How the JVM, Kafka and Quarkus say that a port is taken.
_TAKEN = ("Address already in use", "BindException", "already bound", "Port already")


def wait_until_ready(child: ChildProcess, ready: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
    """Return once `ready()` is true. Raises StartError (PortTakenError for a lost race for a port) otherwise."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if not child.running:
            output = child.output()
            kind = PortTakenError if any(word in output for word in _TAKEN) else StartError
            raise kind(child.name, f"ended with exit code {child.exit_code}", child.log, child.last_lines())
        if time.monotonic() > deadline:
            raise StartError(child.name, f"was not ready within {timeout_s:.0f} s", child.log, child.last_lines())
        time.sleep(LOOK_S)
