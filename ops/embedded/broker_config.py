"""The properties of an embedded broker: small, quick to start, on loopback; three of them replicate as in
production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ops.embedded.ports import LOOPBACK

#: Warnings and errors only, but for the server's own class, which says when it is up.
LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRefs = out
rootLogger.appenderRef.out.ref = out
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
"""
#: Kafka's default of 50 partitions each would be 100 folders to create and recover for a handful of groups.
INTERNAL_PARTITIONS = 4
#: A group's offsets are kept as long as the records they point at; Kafka's default is seven days. In minutes.
OFFSETS_RETENTION_MINUTES = 90 * 24 * 60
#: As long as the setting can say (24 days): it is an int of milliseconds. An id that expired costs a reconnect.
TRANSACTIONAL_ID_EXPIRATION_MS = 24 * 24 * 3_600_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The id and ports of one broker, which is a controller too (KRaft combined mode)."""

    node_id: int
    port: int
    controller_port: int


def broker_properties(node: Node, nodes: Sequence[Node], data: Path) -> dict[str, str]:
    """`server.properties` of `node` in the cluster `nodes`; its log segments live in `data`."""
    replication = min(3, len(nodes))
    # With three replicas, two must have a record before it counts as written: one broker may die and nothing is lost.
    min_in_sync = max(1, replication - 1)
    properties = {
        "process.roles": "broker,controller",
        "node.id": node.node_id,
        "controller.quorum.voters": ",".join(f"{n.node_id}@{LOOPBACK}:{n.controller_port}" for n in nodes),
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{node.port},CONTROLLER://{LOOPBACK}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{node.port}",
        "log.dirs": data,
        # A mistyped topic name must be an error, not a new topic with one partition.
        "auto.create.topics.enable": "false",
        "default.replication.factor": replication,
        "min.insync.replicas": min_in_sync,
        "offsets.topic.num.partitions": INTERNAL_PARTITIONS,
        "offsets.topic.replication.factor": replication,
        "transaction.state.log.num.partitions": INTERNAL_PARTITIONS,
        "transaction.state.log.replication.factor": replication,
        "transaction.state.log.min.isr": min_in_sync,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": replication,
        "share.coordinator.state.topic.min.isr": min_in_sync,
        # What exactly-once rests on must outlive any idle spell; `vigia topics check` asks for it of every cluster.
        "offsets.retention.minutes": OFFSETS_RETENTION_MINUTES,
        "transactional.id.expiration.ms": TRANSACTIONAL_ID_EXPIRATION_MS,
        # The default waits 3 s for more members before the first assignment of every new group.
        "group.initial.rebalance.delay.ms": 0,
        # The default of 128 MiB is a third of our heap; this is enough for some 400,000 keys per cleaning.
        "log.cleaner.dedupe.buffer.size": 10 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
        "num.recovery.threads.per.data.dir": 2,
    }
    if len(nodes) > 1:
        # On one machine a silent broker is dead far sooner than the defaults (9 s) assume: acks resume in about 2 s.
        properties |= {
            "broker.session.timeout.ms": 2_000,
            "broker.heartbeat.interval.ms": 300,
            "controller.quorum.election.timeout.ms": 500,
            "controller.quorum.fetch.timeout.ms": 1_000,
            "controller.quorum.election.backoff.max.ms": 300,
            "replica.lag.time.max.ms": 3_000,
        }
    return {key: str(value) for key, value in properties.items()}


def render(properties: dict[str, str]) -> str:
    """The text of a Java properties file: Latin-1, with a backslash as escape and `\\u` for every other character."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in properties.items())


def _escaped(text: str) -> str:
    units = text.replace("\\", "\\\\").encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(code) if code < 0x80 else f"\\u{code:04x}" for code in codes)
