"""Apache Kafka itself, on loopback, for as long as a `with` block or a process lasts."""

from __future__ import annotations

import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from ops.embedded.admin import cluster_is_complete, exercise
from ops.embedded.broker_config import LOG4J, Node, broker_properties, render
from ops.embedded.errors import EmbeddedError, PortTakenError, StartError
from ops.embedded.fetch import fetch
from ops.embedded.jvm import JavaProgram, environment, plain
from ops.embedded.pins import load_program
from ops.embedded.ports import LOOPBACK, accepts, free_ports
from ops.embedded.process import ChildProcess
from ops.embedded.ready import START_TIMEOUT_S, wait_until_ready

#: Attempts at a start with other ports when another process took one. Three failures in a row are no accident.
PORT_ATTEMPTS = 3
#: Seconds for a training run to write its AOT cache after SIGTERM (4 s on two idle cores).
TRAINING_GRACE_S = 120.0
#: 384 MiB of heap are about 340 MiB in memory at rest.
MAX_HEAP_MIB = 384


class Broker:
    """One broker of the cluster: a process that can crash, hang and come back on the same port."""

    def __init__(self, node: Node, process: ChildProcess) -> None:
        self.node = node
        self.process = process

    @property
    def address(self) -> str:
        """`host:port` that clients use."""
        return f"{LOOPBACK}:{self.node.port}"

    def start(self, wait: bool = True) -> None:
        """Start it on its port and data; with `wait`, return when it accepts connections. Raises StartError."""
        self.process.start()
        if wait:
            wait_until_ready(self.process, lambda: accepts(self.node.port))

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, and neither controller nor clients are notified."""
        self.process.kill()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, and nothing is answered."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT after `pause`."""
        self.process.resume()


class EmbeddedKafka:
    """A Kafka cluster of one broker, or of three with replication 3 and two in-sync replicas.

    The first use on a machine downloads Kafka (see `ops.embedded.fetch`). State stays below `run_dir`: a later start
    with the same folder finds its topics again, on other ports. No broker outlives this process, however it ends.
    """

    def __init__(
        self,
        run_dir: Path,
        brokers: int = 1,
        *,
        grace_s: float = 10.0,
        settings: Mapping[str, str] | Callable[[Mapping[str, str]], Mapping[str, str]] | None = None,
        java_properties: Mapping[str, str] | None = None,
        version: str | None = None,
    ) -> None:
        """`settings` are broker properties that take the place of ours; or what makes them of ours, ports included.

        `java_properties` are further system properties of the broker's Java; `version` is one of `KAFKA_VERSIONS`.
        """
        if brokers not in (1, 3):
            raise ValueError(f"a cluster has 1 or 3 brokers, not {brokers}: two cannot outvote one")
        self.run_dir = plain(run_dir)
        self._count = brokers
        self._grace_s = grace_s
        self._settings = settings if callable(settings) else lambda _: settings or {}
        self._java_properties = dict(java_properties or {})
        self._version = version
        self.brokers: tuple[Broker, ...] = ()
        self._prepared: tuple[JavaProgram, tuple[str, ...]] | None = None

    @property
    def bootstrap_servers(self) -> str:
        """Addresses of all brokers, for `bootstrap.servers`. Raises EmbeddedError before `start`."""
        if not self.brokers:
            raise EmbeddedError("Kafka has not been started")
        return ",".join(broker.address for broker in self.brokers)

    def broker(self, node_id: int) -> Broker:
        """The broker with that `node.id` (1, 2, 3). Raises KeyError."""
        return {broker.node.node_id: broker for broker in self.brokers}[node_id]

    def prepare(self) -> None:
        """Do what only the first use on a machine needs: download, and train the AOT cache. Raises EmbeddedError."""
        if self._prepared is None:
            program = kafka_program(self._version)
            # Another version serves a measurement: an AOT cache of its own would cost more than it saves.
            options = program.aot_options(_train) if self._version is None else ()
            self._prepared = (program, options)

    def start(self) -> Self:
        """Prepare, start, and return when every broker serves. Raises EmbeddedError; then nothing runs."""
        self._refuse_another_size()
        self.prepare()
        assert self._prepared is not None
        return self._start(*self._prepared)

    def stop(self) -> None:
        """Stop every broker with SIGTERM, and with SIGKILL after the grace."""
        for broker in self.brokers:
            broker.process.ask_to_stop()
        for broker in self.brokers:
            broker.process.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self, program: JavaProgram, options: Sequence[str]) -> Self:
        for attempt in range(1, PORT_ATTEMPTS + 1):
            try:
                self._start_once(program, options)
            except PortTakenError:
                self.stop()
                if attempt == PORT_ATTEMPTS:
                    raise
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def _refuse_another_size(self) -> None:
        found = sum(1 for _ in self.run_dir.glob("broker-*"))
        if found not in (0, self._count):
            raise EmbeddedError(
                f"{self.run_dir} holds a cluster of {found}, and {self._count} were asked for: "
                "a cluster keeps its size; choose another folder"
            )

    def _start_once(self, program: JavaProgram, options: Sequence[str]) -> None:
        ports = free_ports(2 * self._count)
        nodes = [
            Node(node_id=number, port=port, controller_port=controller)
            for number, (port, controller) in enumerate(zip(ports[::2], ports[1::2], strict=True), start=1)
        ]
        self.run_dir.mkdir(parents=True, exist_ok=True)
        log4j = self.run_dir / "log4j2.properties"
        log4j.write_text(LOG4J)
        cluster_id = _cluster_id(self.run_dir)

        properties = {"log4j2.configurationFile": str(log4j), "java.io.tmpdir": str(self.run_dir / "tmp")}

        def prepare(node: Node) -> Broker:
            folder = self.run_dir / f"broker-{node.node_id}"
            folder.mkdir(exist_ok=True)
            config = folder / "server.properties"
            ours = broker_properties(node, nodes, folder / "data")
            config.write_text(render({**ours, **self._settings(ours)}))
            if not (folder / "data" / "meta.properties").exists():
                _format(program, options, properties, cluster_id, config)
            process = ChildProcess(
                "Kafka" if self._count == 1 else f"Kafka broker {node.node_id}",
                program.command(
                    ("kafka.Kafka", str(config)), properties={**properties, **self._java_properties}, options=options
                ),
                log=folder / "broker.log",
                env=environment(self.run_dir / "tmp"),
                grace_s=self._grace_s,
            )
            return Broker(node, process)

        with ThreadPoolExecutor(max_workers=self._count) as pool:
            self.brokers = tuple(pool.map(prepare, nodes))
        for broker in self.brokers:
            broker.start(wait=False)
        for broker in self.brokers:
            wait_until_ready(broker.process, lambda broker=broker: accepts(broker.node.port))  # type: ignore[misc]
        with cluster_is_complete(self.bootstrap_servers, self._count) as complete:
            wait_until_ready(self.brokers[0].process, complete)


def kafka_program(version: str | None = None) -> JavaProgram:
    """Kafka in the cache, downloaded if need be; the release that we ship, or another. Raises FetchError."""
    pinned = load_program("kafka", "Apache Kafka", version)
    # Sorted: an AOT cache is valid for exactly one class path.
    jars = sorted(str(path) for path in fetch(pinned).glob("*.jar"))
    return JavaProgram(
        name=pinned.key,
        title=f"{pinned.title} {pinned.version}",
        max_heap_mib=MAX_HEAP_MIB,
        load=("-cp", ":".join(jars)),
    )


def _train(options: Sequence[str]) -> None:
    """Start one broker, run transactions and a consumer group on it, and stop it."""
    with tempfile.TemporaryDirectory(prefix="vigia-training-") as scratch:
        kafka = EmbeddedKafka(Path(scratch), grace_s=TRAINING_GRACE_S)
        program = kafka_program()
        try:
            kafka._start(program, options)
            exercise(kafka.bootstrap_servers)
        finally:
            kafka.stop()


def _cluster_id(run_dir: Path) -> str:
    path = run_dir / "cluster.id"
    if not path.exists():
        # Kafka writes a UUID as unpadded URL-safe base 64.
        path.write_text(urlsafe_b64encode(uuid4().bytes).decode().rstrip("="))
    return path.read_text()


def _format(
    program: JavaProgram, options: Sequence[str], properties: Mapping[str, str], cluster_id: str, config: Path
) -> None:
    # Joined by `=`: one id in 64 begins with a dash, and would be taken for an option.
    arguments = ("kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "-c", str(config))
    # With the broker's cache; in training there is none yet, and what is trained is the broker.
    cached = [option for option in options if option.startswith("-XX:AOTCache=")]
    line = program.command(arguments, properties=properties, options=cached)
    log = config.with_name("format.log")
    with log.open("wb") as output:
        code = subprocess.run(
            line,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment(config.parent.parent / "tmp"),
            check=False,
            timeout=START_TIMEOUT_S,
        ).returncode
    if code != 0:
        raise StartError("Kafka", "could not format its storage", log, log.read_text().splitlines()[-5:])
