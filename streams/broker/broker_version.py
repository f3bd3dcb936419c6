"""Which Kafka a broker is, as far as it says, and whether that one keeps what it has committed.

No answer of a broker names its release. The highest `metadata.version` that its program supports names the line (4.3),
whatever the cluster has finalized; a patch release (4.3.2) cannot be told apart from the one before.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiokafka import errors

from streams.broker.clients import protocol_client
from streams.broker.protocol import ApiVersions, supported_features

#: Highest `metadata.version` → line, as seen with 4.0.1, 4.1.2, 4.2.2, 4.3.0, 4.3.1 and 4.4.0.
LINES: Mapping[int, str] = {25: "4.0", 27: "4.1", 29: "4.2", 30: "4.3", 33: "4.4"}
#: Levels of the lines in which a partition without a leader is taken for deleted, and its commit markers are skipped:
#: a committed transaction is lost. `tests/integration/test_lost_markers.py` shows it.
UNSOUND = range(30, 34)
ADVICE = "4.2.2, or a later release in which KAFKA-20734 is fixed"


async def metadata_levels(bootstrap_servers: str) -> dict[int, int | None]:
    """Broker id → highest `metadata.version` that it supports; None where it names none (not Apache Kafka, or old).

    Raises KafkaError of aiokafka where no broker answers; a broker that does not answer is left out.
    """
    client = protocol_client(bootstrap_servers)
    levels: dict[int, int | None] = {}
    try:
        await client.bootstrap()
        for broker in client.cluster.brokers():
            try:
                answer = await client.send(broker.nodeId, ApiVersions())
            except (errors.IncompatibleBrokerVersion, NotImplementedError):
                levels[broker.nodeId] = None
            except errors.KafkaError:
                continue
            else:
                levels[broker.nodeId] = supported_features(answer).get("metadata.version")
    finally:
        await client.close()
    return levels


def line_of(level: int | None) -> str:
    """The release line in words."""
    if level is None:
        return "of an unknown release"
    return LINES.get(level, f"of metadata.version {level}")


def loses_commits(level: int | None) -> bool:
    """Whether releases of this line are known to lose committed transactions."""
    return level in UNSOUND


def warnings(levels: Mapping[int, int | None]) -> list[str]:
    """One line per broker that may lose what was committed, with what to do."""
    return [
        f"broker {node} is Kafka {line_of(level)}: 4.3.0 to 4.4.0 lose committed transactions; run {ADVICE} "
        "(which patch release it is, a broker does not say)"
        for node, level in sorted(levels.items())
        if loses_commits(level)
    ]
