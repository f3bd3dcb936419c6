"""A whole system on this machine as a context manager: broker, registry, topics, workers; afterwards nothing runs."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.embedded import EmbeddedError, EmbeddedKafka, EmbeddedRegistry
from ops.embedded.heartbeat import Heartbeats
from ops.embedded.ports import LOOPBACK, free_ports
from ops.embedded.process import ChildProcess
from ops.system.context import holding, without_others, write_run_file
from ops.system.health import Health
from ops.system.programs import PROGRAMS, Program
from ops.system.supervisor import ProcessStatus, Supervisor
from schemas.access.address import KAFKA, REGISTRY
from schemas.serde import Serde
from streams import topics
from streams.broker import topic_admin
from streams.broker.clients import admin_client
from streams.settings import Settings

#: A worker finishes its current batch within 8 s (streams.runtime.worker); after this many seconds it is stuck.
WORKER_GRACE_S = 12.0
#: Seconds that the registry may take for an answer at a start.
FIRST_ANSWER_S = 20.0
#: Variables of the environment that describe the system to all its commands; they go into the run file when set.
DESCRIBING = (
    "VIGIA_PARTITIONS",
    "VIGIA_IMAGE_ROOTS",
    "VIGIA_IMAGE_NAMED_ROOTS",
    "VIGIA_PATIENT_CODE_PATTERN",
    "VIGIA_MODEL_DIR",
    "VIGIA_POLICY_FILE",
    "VIGIA_HEAT_MAPS",
    "VIGIA_TOKEN_KEY_FILE",
    "VIGIA_CANARY_KEY_FILE",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of `vigia up` that concern the system itself."""

    run_dir: Path
    brokers: int = 1
    workers: int = 1
    #: Another Kafka release than the one that is shipped: one of `ops.embedded.KAFKA_VERSIONS`.
    kafka: str | None = None
    programs: Sequence[Program] = PROGRAMS


class System:
    """Services and workers, for as long as the `with` block lasts. State stays below the run folder for the next start.

    Services named by `VIGIA_BOOTSTRAP_SERVERS` and `VIGIA_SCHEMA_REGISTRY_URL` are used instead of embedded ones.
    `tell` gets one line per event that a person should know of, from any thread.
    """

    def __init__(self, options: Options, tell: Callable[[str], None], env: Mapping[str, str] = os.environ) -> None:
        self.options = options
        #: The `VIGIA_*` variables that workers and other commands need. Complete once the block is entered.
        self.environment: dict[str, str] = {}
        self.kafka: EmbeddedKafka | None = None
        self.registry: EmbeddedRegistry | None = None
        #: Name of a program that is no worker → URL of its metrics.
        self.metrics: dict[str, str] = {}
        #: Name of a process → the process; with several workers of a stage, `grading-1`, `grading-2`.
        self.workers: dict[str, ChildProcess] = {}
        #: Name of a worker of a stage → name of its program.
        self.program_of: dict[str, str] = {}
        self._supervisors: tuple[Supervisor, ...] = ()
        self._tell = tell
        self._env = dict(env)
        self._stack = ExitStack()

    @property
    def run_dir(self) -> Path:
        """Where state, logs and the run file are."""
        return self.options.run_dir

    @property
    def targets_dir(self) -> Path:
        """The folder of Prometheus `file_sd` targets: one file per worker, written by the worker."""
        return self.run_dir / "targets"

    @property
    def settings(self) -> Settings:
        """Settings as a worker reads them."""
        return Settings.from_env(self.process_environment)

    @property
    def process_environment(self) -> dict[str, str]:
        """The complete environment of its processes."""
        return {**self._env, **self.environment}

    def __enter__(self) -> Self:
        """Start everything. Raises AlreadyRunningError, EmbeddedError, TopicsError, ContractError, SettingsError."""
        try:
            self._stack.enter_context(holding(self.run_dir, self._env))
            self._start_services(self._stack)
            self.environment = self._describe()
            self._apply_topics()
            write_run_file(self.run_dir, self.environment)
            self._start_workers(self._stack)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the workers first, so that they commit what they hold, then registry and broker."""
        self.close()

    def close(self) -> None:
        """Stop whatever runs; for whom ctrl-C may have kept from leaving the `with` block. Closed already: nothing."""
        self._stack.close()

    def statuses(self) -> list[ProcessStatus]:
        """The status of every process, services first."""
        return [status for supervisor in self._supervisors for status in supervisor.statuses()]

    def serving(self, healths: Sequence[Health]) -> bool:
        """Whether the workers of every stage together hold all partitions."""
        held = dict.fromkeys(self.program_of.values(), 0)
        for health in healths:
            if health.status.name in self.program_of:
                held[self.program_of[health.status.name]] += health.partitions or 0
        return all(count >= self.settings.partitions for count in held.values())

    def kill(self) -> None:
        """SIGKILL every process at once, without a graceful stop."""
        services = [*self.kafka.brokers] if self.kafka else []
        children = [*self.workers.values(), *(broker.process for broker in services)]
        with suppress(EmbeddedError):
            if self.registry:
                children.append(self.registry.process)
        for child in children:
            with suppress(EmbeddedError, ProcessLookupError):
                child.signal(signal.SIGKILL)

    def _start_services(self, stack: ExitStack) -> None:
        starts: list[Callable[[], object]] = []
        self._env = without_others(self._env)
        if not self._env.get("VIGIA_BOOTSTRAP_SERVERS"):
            self.kafka = EmbeddedKafka(self.run_dir / "kafka", self.options.brokers, version=self.options.kafka)
            self.kafka.prepare()
            stack.callback(self.kafka.stop)
            starts.append(self.kafka.start)
        if not self._env.get("VIGIA_SCHEMA_REGISTRY_URL"):
            self.registry = EmbeddedRegistry(self.run_dir / "registry")
            self.registry.prepare()
            stack.callback(self.registry.stop)
            starts.append(self.registry.start)
        if starts:
            with ThreadPoolExecutor(max_workers=len(starts)) as pool:
                for started in [pool.submit(start) for start in starts]:
                    started.result()

    def _describe(self) -> dict[str, str]:
        kafka, registry = self.kafka, self.registry
        described = {name: self._env[name] for name in DESCRIBING if self._env.get(name)}
        described |= {name: value for name, value in self._env.items() if name.startswith((KAFKA, REGISTRY)) and value}
        described |= {
            "VIGIA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers if kafka else self._env["VIGIA_BOOTSTRAP_SERVERS"],
            "VIGIA_SCHEMA_REGISTRY_URL": registry.url if registry else self._env["VIGIA_SCHEMA_REGISTRY_URL"],
            "VIGIA_REPLICATION": self._env.get("VIGIA_REPLICATION") or str(self.options.brokers),
            "VIGIA_IMAGE_STORE": self._env.get("VIGIA_IMAGE_STORE") or f"file://{self.run_dir / 'images'}",
            "VIGIA_RUN_DIR": str(self.run_dir),
        }
        if not self._env.get("VIGIA_TOKEN_KEY") and "VIGIA_TOKEN_KEY_FILE" not in described:
            described["VIGIA_TOKEN_KEY_FILE"] = str(key_file(self.run_dir, "token.key"))
        if not self._env.get("VIGIA_CANARY_KEY") and "VIGIA_CANARY_KEY_FILE" not in described:
            described["VIGIA_CANARY_KEY_FILE"] = str(key_file(self.run_dir, "canary.key"))
        return described

    def _apply_topics(self) -> None:
        settings = self.settings
        admin = admin_client(settings.bootstrap_servers)
        applied = topic_admin.apply(admin, settings)
        for difference in applied.differences:
            self._tell(f"{'must be mended' if difference.serious else 'differs'}: {difference}")
        # A registry that has just started on a busy machine takes its time for the first question.
        serde = Serde(settings.schema_registry_url, timeout_s=FIRST_ANSWER_S)
        serde.register_all(topics.RECORDS)
        serde.close()

    def _start_workers(self, stack: ExitStack) -> None:
        self.targets_dir.mkdir(exist_ok=True)
        for program in self.options.programs:
            count = self.options.workers if program.is_worker else 1
            for number in range(1, count + 1):
                name = program.name if count == 1 else f"{program.name}-{number}"
                self.workers[name] = self._worker(name, program)
                if program.is_worker:
                    self.program_of[name] = program.name
        services = [broker.process for broker in self.kafka.brokers] if self.kafka else []
        if self.registry:
            services.append(self.registry.process)
        # Services are stopped after the workers, by their own callbacks above; here they are only kept running.
        self._supervisors = (
            stack.enter_context(Supervisor(services, self._tell, leave_running=True)),
            stack.enter_context(Supervisor(list(self.workers.values()), self._tell)),
        )

    def _worker(self, name: str, program: Program) -> ChildProcess:
        target = self.targets_dir / f"{name}.json"
        target.unlink(missing_ok=True)
        arguments = list(program.arguments)
        if program.is_worker:
            arguments += ["--metrics-target", str(target)]
        elif "{port}" in arguments:
            port = free_ports(1)[0]
            arguments = [str(port) if argument == "{port}" else argument for argument in arguments]
            address = f"{LOOPBACK}:{port}"
            target.write_text(json.dumps([{"targets": [address], "labels": {"job": f"vigia-{name}"}}]))
            self.metrics[name] = f"http://{address}/metrics"
        return ChildProcess(
            name,
            # -P: a folder called `ops` in the current directory must not be taken for this package.
            [sys.executable, "-P", "-m", "ops", *arguments],
            log=self.run_dir / "logs" / f"{name}.log",
            env=self.process_environment,
            grace_s=WORKER_GRACE_S,
            background=program.background,
            listens=True,
            heartbeats=Heartbeats(),
        )


def key_file(run_dir: Path, name: str) -> Path:
    """The file with a key of the run folder's own, created on first use, readable by its owner only.

    It is never replaced: with another token key the same patient would get another token.
    """
    path = run_dir / name
    if not path.exists():
        staging = run_dir / f".{name}"
        staging.unlink(missing_ok=True)
        with os.fdopen(os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{secrets.token_hex(32)}\n")
        staging.replace(path)
    return path
