"""A contestant of the benchmark: a design whose processes are started, take cases, answer them, and are stopped."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import psutil

from ops.embedded.process import ChildProcess
from ops.system.supervisor import Supervisor
from ops.system.system import WORKER_GRACE_S, System
from schemas.events import CaseEvent
from schemas.serde import Serde

#: Case id → when the last of its results was written (epoch seconds, by the broker's clock or Celery's last task).
Answered = dict[UUID, float]


class Contestant(ABC):
    """One design under test. Its processes exist between `start` and `stop` only."""

    name: str

    def __init__(self, system: System) -> None:
        self.system = system
        self.serde = Serde(system.settings.schema_registry_url)
        self.processes: list[ChildProcess] = []
        self._supervisor: Supervisor | None = None

    @abstractmethod
    def listen(self) -> None:
        """Begin to collect results, from now on."""

    @abstractmethod
    def publish(self, cases: Sequence[CaseEvent]) -> None:
        """Publish cases; returns when broker or Redis has them."""

    @abstractmethod
    def answered(self) -> Answered:
        """The cases whose results are complete so far; waits a moment for more."""

    @abstractmethod
    def commands(self) -> dict[str, list[str]]:
        """Name of each process → its arguments after `python`."""

    def start(self) -> None:
        """Start its processes, which take the cases published before and after."""
        environment = {**self.system.process_environment, **self.more_environment()}
        for name, arguments in self.commands().items():
            child = ChildProcess(
                name,
                [sys.executable, "-P", *arguments],
                log=self.system.run_dir / "logs" / f"{name}.log",
                env=environment,
                grace_s=WORKER_GRACE_S,
                background=self.background(name),
            )
            self.processes.append(child)
        self._supervisor = Supervisor(self.processes, lambda _: None).start()

    def stop(self) -> None:
        """Stop its processes."""
        if self._supervisor is not None:
            self._supervisor.stop()
            self._supervisor = None
        self.processes = []

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Suspend its processes and their children for the length of the block."""
        family = [process for child in self.processes for process in _family(child.pid)]
        for process in family:
            process.suspend()
        try:
            yield
        finally:
            for process in family:
                process.resume()

    def kill(self, name: str) -> None:
        """SIGKILL a process and its children; its supervisor starts it again."""
        child = next(each for each in self.processes if each.name == name)
        # The parent first: it must not live to see its children die.
        for process in _family(child.pid):
            process.kill()

    @abstractmethod
    def close(self) -> None:
        """Close what `listen` opened."""

    def more_environment(self) -> dict[str, str]:
        """Variables that only this one needs."""
        return {}

    def background(self, name: str) -> bool:
        """Whether a process runs at background priority (see `ops.embedded.guard`)."""
        return False

    def servers(self) -> list[int]:
        """Process ids of the servers it uses; empty when the broker is not the system's own."""
        return [broker.process.pid for broker in self.system.kafka.brokers] if self.system.kafka else []

    def used(self) -> dict[str, tuple[float, float]]:
        """Process name → CPU seconds so far and PSS in MiB (proportional share of shared pages), children included."""
        used = {child.name: _used(child.pid) for child in self.processes if child.running}
        servers = [_used(pid) for pid in self.servers()]
        return {**used, "server": (sum(cpu for cpu, _ in servers), sum(mib for _, mib in servers))}


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _used(pid: int) -> tuple[float, float]:
    spent = memory = 0.0
    for process in _family(pid):
        try:
            times = process.cpu_times()
            spent += times.user + times.system
            memory += process.memory_full_info().pss / 2**20
        except psutil.NoSuchProcess:
            continue
    return spent, memory
