"""Reads every committed record of every topic that the verifier checks, and the lag of the stages."""

from __future__ import annotations

from collections.abc import Callable

from ops.chaos.values import SeenRecord
from schemas.errors import ContractError
from schemas.serde import Serde
from streams import topics
from streams.broker.cluster import Cluster, spans
from streams.broker.headers import headers_of
from streams.pipeline import STAGES
from streams.settings import Settings

READ = tuple(topic for topic in topics.ALL if topic.record is not None or topic.name == topics.DEAD_LETTERS)


def read_all(settings: Settings, serde: Serde, progress: Callable[[int], None] = lambda _: None) -> list[SeenRecord]:
    """The records, read_committed, up to what is written now. Raises UnreadableError."""
    cluster = Cluster(settings.bootstrap_servers)
    partitions = [(topic.name, partition) for topic in READ for partition in range(settings.partitions)]
    ends = cluster.written_ends(partitions)
    cluster.wait_until_committed(ends)
    seen: list[SeenRecord] = []
    for chunk in cluster.read(spans(cluster.starts(partitions), ends), progress):
        for message in chunk:
            value = message.value()
            event = None
            if message.topic() != topics.DEAD_LETTERS and value is not None:
                try:
                    event = serde.decode(value, message.topic() or "")
                except ContractError:
                    # Poison of the campaign. On a topic that the pipeline writes, the verifier reports it.
                    event = None
            seen.append(
                SeenRecord(
                    topic=message.topic(),
                    partition=message.partition(),
                    offset=message.offset(),
                    timestamp_ms=message.timestamp()[1],
                    key=message.key(),
                    value=value,
                    headers={name: value or b"" for name, value in headers_of(message)},
                    event=event,
                )
            )
    return seen


def lag(settings: Settings, cluster: Cluster) -> int:
    """Offsets of input topics that their group has not committed, over all groups; includes transaction markers."""
    waiting = 0
    for stage in STAGES:
        places = [(topic, number) for topic in stage.answers for number in range(settings.partitions)]
        ends, at = cluster.written_ends(places), cluster.committed_positions(stage.group, places)
        waiting += sum(max(0, ends[place] - at.get(place, 0)) for place in places)
    return waiting
