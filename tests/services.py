"""The real Kafka and schema registry that tests talk to: given, in containers, or embedded; in this order.

`VIGIA_BOOTSTRAP_SERVERS` and `VIGIA_SCHEMA_REGISTRY_URL` name given ones. Where a Docker engine answers, the released
images run in containers; anywhere else the very same programs run embedded (see `ops.embedded`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops.embedded import EmbeddedKafka, EmbeddedRegistry
from ops.embedded.ports import free_ports
from schemas.access.address import KAFKA, REGISTRY, ServiceAddress

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

KAFKA_IMAGE = "apache/kafka:4.2.2"
REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"
#: Of the listener inside the container that clients on the host use.
KAFKA_CONTAINER_PORT = 19_092
REGISTRY_CONTAINER_PORT = 8_080


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaService:
    """A running cluster."""

    bootstrap_servers: str
    #: given, container or embedded
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryService:
    """A running schema registry with the Confluent API."""

    url: str
    origin: str


@contextmanager
def kafka_service(run_dir: Path) -> Iterator[KafkaService]:
    """A cluster of one broker for as long as the block lasts. Raises EmbeddedError where none can be had."""
    given = os.environ.get("VIGIA_BOOTSTRAP_SERVERS")
    with ExitStack() as stack:
        if given:
            yield KafkaService(bootstrap_servers=ServiceAddress.found(given, KAFKA, os.environ), origin="given")
        elif docker_answers():
            port = free_ports(1)[0]
            container = stack.enter_context(kafka_container(port))
            address = f"{container.get_container_host_ip()}:{port}"
            yield KafkaService(bootstrap_servers=address, origin="container")
        else:
            kafka = stack.enter_context(EmbeddedKafka(run_dir))
            yield KafkaService(bootstrap_servers=kafka.bootstrap_servers, origin="embedded")


@contextmanager
def registry_service(run_dir: Path) -> Iterator[RegistryService]:
    """A schema registry for as long as the block lasts. Raises EmbeddedError where none can be had."""
    given = os.environ.get("VIGIA_SCHEMA_REGISTRY_URL")
    with ExitStack() as stack:
        if given:
            yield RegistryService(url=ServiceAddress.found(given, REGISTRY, os.environ), origin="given")
        elif docker_answers():
            container = stack.enter_context(registry_container())
            host, port = container.get_container_host_ip(), container.get_exposed_port(REGISTRY_CONTAINER_PORT)
            yield RegistryService(url=f"http://{host}:{port}/apis/ccompat/v7", origin="container")
        else:
            registry = stack.enter_context(EmbeddedRegistry(run_dir))
            yield RegistryService(url=registry.url, origin="embedded")


def docker_answers() -> bool:
    """Whether a Docker engine is there and we may use it; a mere `docker` client is not enough."""
    try:
        import docker

        client = docker.from_env(timeout=3)
    except Exception:  # docker-py has no common base for "no engine": it depends on the transport
        return False
    try:
        return bool(client.ping())
    except Exception:
        return False
    finally:
        client.close()


def kafka_container(port: int) -> DockerContainer:
    """One broker of `apache/kafka` (testcontainers' own KafkaContainer serves Confluent's image only).

    A client is sent on to the address that the broker advertises, so the host's port must be known before the start.
    """
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(KAFKA_CONTAINER_PORT, port)
    host = container.get_docker_client().host()
    properties = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": "1@localhost:9093",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"HOST://:{KAFKA_CONTAINER_PORT},INTERNAL://localhost:9092,CONTROLLER://localhost:9093",
        "advertised.listeners": f"HOST://{host}:{port},INTERNAL://localhost:9092",
        "listener.security.protocol.map": "HOST:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.retention.minutes": "129600",
        "transactional.id.expiration.ms": "2073600000",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
    }
    for name, value in properties.items():
        # The image turns KAFKA_NODE_ID into node.id.
        container.with_env(f"KAFKA_{name.replace('.', '_').upper()}", value)
    return container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(90))


def registry_container() -> DockerContainer:
    """Apicurio Registry, its schemas in memory."""
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy

    ready = HttpWaitStrategy(REGISTRY_CONTAINER_PORT, "/apis/ccompat/v7/subjects").for_status_code(200)
    return (
        DockerContainer(REGISTRY_IMAGE)
        .with_exposed_ports(REGISTRY_CONTAINER_PORT)
        .with_env("APICURIO_RULES_GLOBAL_COMPATIBILITY", "BACKWARD")
        .waiting_for(ready.with_startup_timeout(90))
    )
