"""The predecessor's design as a contestant: Celery over a Redis of the benchmark's own."""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import redis

from ops.bench import rivals
from ops.bench.contestant import Answered, Contestant
from ops.embedded.ports import LOOPBACK, free_ports
from ops.embedded.process import ChildProcess
from ops.system.system import System
from schemas.events import CaseEvent
from streams import topics


class OnCelery(Contestant):
    """The predecessor's design: one pool of workers, two priorities, Redis."""

    def __init__(self, system: System, redis_server: ChildProcess, url: str, concurrency: int = 2) -> None:
        super().__init__(system)
        self.name = f"Celery, {concurrency} process{'' if concurrency == 1 else 'es'}"
        self._server, self._url, self._concurrency = redis_server, url, concurrency
        self._redis = redis.Redis.from_url(url)
        self._answered: Answered = {}

    def listen(self) -> None:
        """Delete everything in Redis."""
        self._redis.flushall()
        self._answered = {}

    def publish(self, cases: Sequence[CaseEvent]) -> None:
        """Publish one chain of tasks per case, as an application would."""
        os.environ["VIGIA_BENCH_REDIS"] = self._url
        from ops.bench.rivals import celery_tasks

        for case in cases:
            celery_tasks.publish(self.serde.encode(case, topics.CASES[case.lane]), case.case_id, case.lane)

    def answered(self) -> Answered:
        """Cases whose last task has run."""
        time.sleep(0.05)
        for mark in self._redis.lpop(rivals.DONE, 10_000) or ():
            self._answered.setdefault(UUID(bytes=mark[:16]), struct.unpack(">d", mark[16:])[0])
        return self._answered

    def close(self) -> None:
        """Do nothing: the Redis client manages its own connections."""

    def commands(self) -> dict[str, list[str]]:
        """One worker with its pool of processes."""
        worker = ["worker", "--concurrency", str(self._concurrency), "--loglevel", "WARNING"]
        quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        return {"celery": ["-m", "celery", "-A", "ops.bench.rivals.celery_tasks", *worker, *quiet]}

    def more_environment(self) -> dict[str, str]:
        """The address of Redis."""
        return {"VIGIA_BENCH_REDIS": self._url}

    def servers(self) -> list[int]:
        """The process id of Redis."""
        return [self._server.pid]


def redis_server(run_dir: Path) -> tuple[ChildProcess, str]:
    """A Redis of the benchmark's own (Debian's settings but for port and folder), not yet started, and its URL."""
    port = free_ports(1)[0]
    folder = run_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    command = ["redis-server", "--port", str(port), "--bind", LOOPBACK, "--dir", str(folder)]
    return ChildProcess("redis", command, log=run_dir / "logs" / "redis.log"), f"redis://{LOOPBACK}:{port}/0"
