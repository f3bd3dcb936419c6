"""Programs that tests start: ours, which no signal reaches too early, and others, where they are installed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from typing import IO

import pytest

from ops.system import stopping

#: The command line of our own program, from this checkout whatever the working directory is.
VIGIA = (sys.executable, "-P", "-m", "ops")
#: Debian packages of the programs that a test may need.
PACKAGES = {
    "promtool": "prometheus",
    "prometheus": "prometheus",
    "amtool": "prometheus-alertmanager",
    "redis-server": "redis-server",
    "node": "nodejs",
    "npm": "npm",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "mvn": "maven",
}


def need(*programs: str) -> None:
    """Skip where a program is not installed; in CI that is a failure."""
    for program in programs:
        if shutil.which(program) is None:
            message = f"{program} is not installed (apt install {PACKAGES[program]})"
            if os.environ.get("CI", "").lower() == "true":
                pytest.fail(message)
            pytest.skip(message)


def start_vigia(
    *arguments: str, env: Mapping[str, str], stdout: int | IO[bytes], stderr: int | IO[bytes] | None = None
) -> subprocess.Popen[bytes]:
    """`vigia …` as a process that may be stopped at once.

    Signals are blocked when it starts, as `ops.embedded.guard` does it for the programs of a system: one that is sent
    before Python has read our first line waits for it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping.SIGNALS)
    try:
        return subprocess.Popen(
            [*VIGIA, *arguments], env=dict(env), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
