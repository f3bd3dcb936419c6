"""The workers of a campaign: added, removed, signalled; each is restarted by a supervisor of its own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

from ops.embedded.heartbeat import Heartbeats
from ops.embedded.process import ChildProcess
from ops.system.programs import WORKERS, Program
from ops.system.supervisor import ProcessState, Supervisor
from ops.system.system import WORKER_GRACE_S

STAGES: tuple[Program, ...] = WORKERS
#: In the command line of a process that decodes; a worker's other children try records.
DECODER = "inference.decoders"


class Workers:
    """All workers of a campaign. Thread-safe: several faults call it at the same time."""

    def __init__(self, run_dir: Path, environment: Mapping[str, str], tell: Callable[[str], None]) -> None:
        self._run_dir, self._tell = run_dir, tell
        self._environment = {**os.environ, **environment}
        self._lock = threading.Lock()
        self._running: dict[str, tuple[Program, ChildProcess, Supervisor]] = {}
        self._started = 0

    def add(self, program: Program) -> str:
        """Start one more worker of a stage; returns its name."""
        with self._lock:
            self._started += 1
            name = f"{program.name}-{self._started}"
            target = self._run_dir / "targets" / f"{name}.json"
            child = ChildProcess(
                name,
                [sys.executable, "-P", "-m", "ops", *program.arguments, "--metrics-target", str(target)],
                log=self._run_dir / "logs" / f"{name}.log",
                env=self._environment,
                grace_s=WORKER_GRACE_S,
                background=program.background,
                heartbeats=Heartbeats(),
            )
            self._running[name] = program, child, Supervisor([child], self._tell).start()
            return name

    def remove(self, name: str) -> None:
        """Stop a worker gracefully, for good."""
        with self._lock:
            _, _, supervisor = self._running.pop(name)
        supervisor.stop()

    def names(self) -> list[str]:
        """The names of all workers, oldest first."""
        with self._lock:
            return list(self._running)

    def of(self, program: Program) -> list[str]:
        """The names of a stage's workers, oldest first."""
        with self._lock:
            return [name for name, (its, _, _) in self._running.items() if its is program]

    def signal(self, name: str, number: signal.Signals) -> bool:
        """Send a worker a signal; False where it is not running just now."""
        with self._lock:
            if name not in self._running:
                return False
            status = self._running[name][2].statuses()[0]
        if status.state is not ProcessState.RUNNING or status.pid is None:
            return False
        with suppress(ProcessLookupError):
            os.kill(status.pid, number)
            return True
        return False

    def pid(self, name: str) -> int | None:
        """The process of a worker; None where it is not running just now."""
        with self._lock:
            if name not in self._running:
                return None
            status = self._running[name][2].statuses()[0]
        return status.pid if status.state is ProcessState.RUNNING else None

    def kill_decoders(self) -> int:
        """SIGKILL the processes in which workers decode pictures; how many there were."""
        killed = 0
        for pid in filter(None, map(self.pid, self.names())):
            with suppress(psutil.Error):
                for child in psutil.Process(pid).children(recursive=True):
                    if DECODER in " ".join(child.cmdline()):
                        child.kill()
                        killed += 1
        return killed

    def restarts(self) -> int:
        """How often workers were restarted."""
        with self._lock:
            return sum(supervisor.statuses()[0].restarts for _, _, supervisor in self._running.values())

    def stop(self) -> None:
        """End all of them together."""
        with self._lock:
            entries = list(self._running.values())
            self._running.clear()
        threads = [threading.Thread(target=supervisor.stop) for _, _, supervisor in entries]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
