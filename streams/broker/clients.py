"""Every client of Kafka that the pipeline makes, and the settings they share, each said once.

Nothing else in `streams` or `ops` makes one (`tests/unit/test_layout.py` holds that): how a cluster is reached, and
what the promises rest on, is decided here. The broker of the tests (`ops/embedded`) and the designs that the benchmark
compares with ours (`ops/bench`) have clients of their own, on purpose.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from streams.broker.admission import ask_once
from streams.broker.security import for_aiokafka, for_librdkafka, security_of

#: What readers may rely on: only what is committed is read, and a position moves only when its reader says so.
PROMISED: Mapping[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "isolation.level": "read_committed",
    "allow.auto.create.topics": False,
}
Config = Mapping[str, Any]

#: librdkafka reports a lost connection by itself, once per try; that the broker is away is an error or a figure here.
QUIET = logging.getLogger("vigia.librdkafka")
QUIET.setLevel(logging.CRITICAL)

#: A broker that comes back is found within a second; librdkafka's own pause grows to ten.
RECONNECT_WITHIN_MS = 1_000
#: librdkafka wants a name even of a consumer that never joins; no group of this name ever exists.
OBSERVER = "vigia-observer"
#: The same for subscribers that keep no position (`vigia consume`).
LOOKING = "vigia-looking"


def admin_client(bootstrap_servers: str) -> AdminClient:
    """For topics, offsets and groups."""
    return AdminClient(_common(bootstrap_servers, {}), logger=QUIET)


def observer(bootstrap_servers: str, settings: Config | None = None, *, group: str = OBSERVER) -> Consumer:
    """A consumer that joins no group and commits nothing: partitions are assigned by hand.

    It reads committed records only, and reports the end of a partition with the offset up to which it has looked,
    markers and aborted records included. `group` is only for asking where that group stands.
    """
    return Consumer(
        {
            **_common(bootstrap_servers, settings or {}),
            "group.id": group,
            **PROMISED,
            "enable.partition.eof": True,
            # Retention may delete what comes first while we read.
            "auto.offset.reset": "earliest",
            # How soon an end is reported behind which only markers were left. Shorter costs more empty fetches.
            "fetch.wait.max.ms": 50,
            "fetch.error.backoff.ms": 100,
            **(settings or {}),
        },
        logger=QUIET,
    )


def group_member(bootstrap_servers: str, group: str, settings: Config, *, logger: logging.Logger) -> Consumer:
    """A consumer for programs outside the pipeline; positions are stored and committed by whoever uses it."""
    return Consumer(
        {
            **_common(bootstrap_servers, settings),
            "group.id": group,
            "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "cooperative-sticky",
            **settings,
            **PROMISED,
        },
        logger=logger,
    )


def producer(bootstrap_servers: str, settings: Config | None = None, *, logger: logging.Logger = QUIET) -> Producer:
    """An idempotent producer: a record is confirmed when all in-sync replicas have it, and a retry makes no second."""
    return Producer(
        {
            **(settings or {}),
            **_common(bootstrap_servers, settings or {}),
            **LIBRDKAFKA_PARTITIONER,
            "acks": "all",
            "enable.idempotence": True,
        },
        logger=logger,
    )


def transactional_producer(bootstrap_servers: str, transactional_id: str) -> Producer:
    """A producer for a command that writes several records together or not at all."""
    return producer(bootstrap_servers, {"transactional.id": transactional_id})


def stage_producer(bootstrap_servers: str, transactional_id: str, max_request_bytes: int) -> AIOKafkaProducer:
    """The producer of one partition of a stage; `max_request_bytes` bounds its largest record."""
    return AIOKafkaProducer(
        bootstrap_servers=[server.strip() for server in bootstrap_servers.split(",")],
        transactional_id=transactional_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_request_size=max_request_bytes,
        # Kafka answers "not enough replicas" while the markers of the last transaction are being written (KIP-890).
        # That takes a few milliseconds; the default pause of 100 ms would be added to an emergency on its way.
        retry_backoff_ms=10,
        request_timeout_ms=20_000,
        # Longer than a broker's restart, shorter than anyone's patience: until then a dead worker's open transaction
        # hides what follows it. A new owner aborts it at once, so this is for partitions that nobody takes.
        transaction_timeout_ms=20_000,
        **for_aiokafka(security_of(bootstrap_servers)),
    )


def protocol_client(bootstrap_servers: str) -> AIOKafkaClient:
    """For requests that no other client makes; to be made in a running event loop."""
    return AIOKafkaClient(
        bootstrap_servers=[server.strip() for server in bootstrap_servers.split(",")],
        request_timeout_ms=10_000,
        **for_aiokafka(security_of(bootstrap_servers)),
    )


def _common(bootstrap_servers: str, settings: Config) -> dict[str, Any]:
    """Raises NotAdmittedError where the brokers refuse us, AccessError for how they are to be reached."""
    common = {
        "bootstrap.servers": str(bootstrap_servers),
        # Topics are made by `vigia topics apply`, with their settings; one that a client makes would have none.
        "allow.auto.create.topics": False,
        "reconnect.backoff.max.ms": RECONNECT_WITHIN_MS,
    }
    if "security.protocol" in settings:
        # A program of others that says itself how brokers are reached, by name.
        return common
    ask_once(bootstrap_servers)
    return {**common, **for_librdkafka(security_of(bootstrap_servers))}
