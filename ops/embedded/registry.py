"""Apicurio Registry on loopback: a schema registry with the Confluent API, its schemas in a file."""

from __future__ import annotations

import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.embedded.errors import EmbeddedError, PortTakenError
from ops.embedded.fetch import fetch
from ops.embedded.jvm import JavaProgram, environment, plain
from ops.embedded.pins import load_program
from ops.embedded.ports import LOOPBACK, free_ports
from ops.embedded.process import ChildProcess
from ops.embedded.ready import wait_until_ready

PORT_ATTEMPTS = 3
TRAINING_GRACE_S = 120.0
#: 256 MiB of heap are about 240 MiB in memory at rest.
MAX_HEAP_MIB = 256
#: Where Apicurio serves the Confluent API.
API_PATH = "/apis/ccompat/v7"


class EmbeddedRegistry:
    """A schema registry for as long as a `with` block or a process lasts.

    State stays below `run_dir`; `start` after `stop` brings it back on the same port, with its schemas.
    """

    def __init__(self, run_dir: Path, *, grace_s: float = 10.0) -> None:
        self.run_dir = plain(run_dir)
        self._grace_s = grace_s
        self._ports: tuple[int, ...] = ()
        self._process: ChildProcess | None = None
        self._prepared: tuple[JavaProgram, tuple[str, ...]] | None = None

    @property
    def url(self) -> str:
        """Address of the Confluent API, for `schema.registry.url`. Raises EmbeddedError before `start`."""
        if not self._ports:
            raise EmbeddedError("the schema registry has not been started")
        return f"http://{LOOPBACK}:{self._ports[0]}{API_PATH}"

    @property
    def process(self) -> ChildProcess:
        """The process, to kill or pause it. Raises EmbeddedError before `start`."""
        if self._process is None:
            raise EmbeddedError("the schema registry has not been started")
        return self._process

    def prepare(self) -> None:
        """Do what only the first use on a machine needs: download, and train the AOT cache. Raises EmbeddedError."""
        if self._prepared is None:
            program = registry_program()
            self._prepared = (program, program.aot_options(_train))

    def start(self) -> Self:
        """Prepare, start, and return when it is ready. Raises EmbeddedError; then nothing runs."""
        self.prepare()
        assert self._prepared is not None
        return self._start(*self._prepared)

    def stop(self) -> None:
        """Stop it with SIGTERM, and with SIGKILL after the grace."""
        if self._process is not None:
            self._process.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, program: JavaProgram, options: Sequence[str]) -> Self:
        # Clients have the address of a registry that ran before: it must come back on the same port.
        kept = self._ports
        attempts = 1 if kept else PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            self._ports = kept or free_ports(2)
            self._process = self._child(program, options)
            try:
                self._process.start()
                wait_until_ready(self._process, self._ready)
            except PortTakenError:
                self.stop()
                if attempt == attempts:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def _child(self, program: JavaProgram, options: Sequence[str]) -> ChildProcess:
        port, management = self._ports
        temporary = self.run_dir / "tmp"
        properties = {
            "java.io.tmpdir": str(temporary),
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": str(port),
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": str(management),
            "quarkus.http.access-log.enabled": "false",
            "quarkus.log.level": "WARN",
            # Apicurio's default accepts every schema.
            "apicurio.rules.global.compatibility": "BACKWARD",
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.datasource.url": f"jdbc:h2:file:{self.run_dir / 'registry'}",
        }
        return ChildProcess(
            "the schema registry",
            program.command((), properties=properties, options=options),
            log=self.run_dir / "registry.log",
            env=environment(temporary),
            grace_s=self._grace_s,
        )

    def _ready(self) -> bool:
        return _answers(f"http://{LOOPBACK}:{self._ports[1]}/health/ready") and _answers(f"{self.url}/subjects")


def registry_program() -> JavaProgram:
    """Apicurio Registry in the cache, downloaded if need be. Raises FetchError."""
    pinned = load_program("registry", "Apicurio Registry")
    return JavaProgram(
        name=pinned.key,
        title=f"{pinned.title} {pinned.version}",
        max_heap_mib=MAX_HEAP_MIB,
        load=("-jar", str(fetch(pinned) / "quarkus-run.jar")),
    )


def _train(options: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="vigia-training-") as scratch:
        registry = EmbeddedRegistry(Path(scratch), grace_s=TRAINING_GRACE_S)
        try:
            registry._start(registry_program(), options)
            _register_a_schema(registry.url)
        finally:
            registry.stop()


def _register_a_schema(url: str) -> None:
    request = urllib.request.Request(  # noqa: S310 - our own address on loopback
        f"{url}/subjects/training/versions",
        data=b'{"schema": "{\\"type\\": \\"record\\", \\"name\\": \\"Training\\", \\"fields\\": []}"}',
        headers={"Content-Type": "application/vnd.schemaregistry.v1+json"},
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()  # noqa: S310
    except OSError as error:
        raise EmbeddedError(f"the schema registry refused a schema: {error}") from None


def _answers(url: str) -> bool:
    try:
        # A proxy configured in the environment must not be used for loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False
