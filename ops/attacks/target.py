"""A system that is attacked: `vigia up` of this version or of another one, seen from outside alone."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from ops.attacks.memory import Peak
from ops.system.context import read_run_file
from streams.settings import Settings

#: For a whole system to start, on a machine that does much else.
STARTS_WITHIN_S = 240.0
STOPS_WITHIN_S = 90.0
_SERVING = "all stages serve"
_ENDED = re.compile(r"^(\S+) ended with exit code (\S+)")


class TargetError(RuntimeError):
    """The system cannot be started."""


class Target:
    """`vigia up` with a folder, topics and workers of its own; `replace` starts a fresh one in its place."""

    def __init__(self, folder: Path, vigia: str | None = None) -> None:
        """`vigia` is the program of the version to attack; this version unless given."""
        self._folder, self._foreign = folder, vigia is not None
        self._vigia = [sys.executable, "-P", "-m", "ops"] if vigia is None else [vigia]
        self._up: subprocess.Popen[bytes] | None = None
        self._told: Path = folder / "up.log"
        self.run_dir = folder
        self.peak: Peak | None = None

    @property
    def settings(self) -> Settings:
        """Settings as one of its commands reads them."""
        return Settings.from_env(read_run_file(self.run_dir))

    def start(self) -> None:
        """Start a system that has nothing of an earlier one, and wait until all stages serve. Raises TargetError."""
        try:
            self._start()
        except TargetError:
            # A machine that does much else; half an hour of outcomes hangs on it.
            self._start()

    def _start(self) -> None:
        self.run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=self._folder))
        self._told = self.run_dir / "up.log"
        with self._told.open("wb") as told:
            self._up = subprocess.Popen(
                [*self._vigia, "up", "--run-dir", str(self.run_dir)],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                # Ctrl-C is for this program, which then stops that one.
                process_group=0,
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while _SERVING not in self.told():
            if self._up.poll() is not None or time.monotonic() > deadline:
                said = self.told()[-500:]
                self.stop()
                raise TargetError(f"the system did not start: {said}")
            time.sleep(0.2)
        self.peak = Peak(self.workers)

    def replace(self) -> None:
        """A fresh system in the place of this one."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End it and everything that it started."""
        if self.peak is not None:
            self.peak.close()
            self.peak = None
        if self._up is None:
            return
        children: list[psutil.Process] = []
        with suppress(psutil.Error):
            children = psutil.Process(self._up.pid).children(recursive=True)
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self._up.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                self._up.wait(STOPS_WITHIN_S)
                break
        self._up = None
        # Its guards end what it left behind.
        psutil.wait_procs(children, timeout=STOPS_WITHIN_S)

    def told(self) -> str:
        """What `vigia up` has printed."""
        return self._told.read_text(encoding="utf-8", errors="replace") if self._told.exists() else ""

    def endings(self) -> list[str]:
        """Names of processes that ended by themselves, one entry per ending."""
        return [found.group(1) for line in self.told().splitlines() if (found := _ENDED.match(line))]

    def workers(self) -> dict[int, str]:
        """Process → name, of all that `vigia up` runs but broker and registry."""
        found = {}
        children: list[psutil.Process] = []
        with suppress(psutil.Error):
            children = [] if self._up is None else psutil.Process(self._up.pid).children(recursive=True)
        for process in children:
            with suppress(psutil.Error):
                line = process.cmdline()
                # The guards carry the same command line behind their own.
                if "-m" in line and "ops" in line and not any(part.endswith("guard.py") for part in line):
                    words = line[line.index("ops") + 1 :]
                    if words and words[0] in ("worker", "lag-exporter"):
                        found[process.pid] = "-".join(word for word in words[:4] if word.isidentifier() or "-" in word)
        return found

    def addresses(self) -> dict[str, str]:
        """Name of a process → `host:port` of its metrics."""
        found: dict[str, str] = {}
        for path in sorted((self.run_dir / "targets").glob("*.json")):
            with suppress(ValueError, OSError, LookupError):
                found[path.stem] = json.loads(path.read_text(encoding="utf-8"))[0]["targets"][0]
        return found

    def logged(self) -> int:
        """Bytes in the logs of its processes."""
        return sum(path.stat().st_size for path in (self.run_dir / "logs").glob("*.log*"))

    def logs_holding(self, marker: bytes) -> list[str]:
        """The logs in which these bytes stand."""
        return sorted(path.name for path in (self.run_dir / "logs").glob("*.log*") if marker in path.read_bytes())

    def run(self, *arguments: str, timeout_s: float = 90.0) -> tuple[int | None, bytes]:
        """One of its own commands: exit code (None: it hung) and everything that it printed."""
        try:
            done: Any = subprocess.run(
                [*self._vigia, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**self._environment(), "VIGIA_RUN_DIR": str(self.run_dir)},
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as expired:
            return None, expired.stdout or b""
        return done.returncode, done.stdout

    def _environment(self) -> dict[str, str]:
        # Nothing of this user's own system: only what was started here may be attacked.
        env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
        if self._foreign:
            # Its own code, not that of this program.
            env.pop("PYTHONPATH", None)
        return {**env, "XDG_DATA_HOME": str(self._folder)}
