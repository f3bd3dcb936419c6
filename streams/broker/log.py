"""Read what stands on topics, committed records only, from some time until now; no group and no position is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from confluent_kafka import Consumer, KafkaException, Message

from streams.broker.clients import observer
from streams.broker.cluster import Cluster, UnreadableError, spans
from streams.broker.errors import BrokerUnavailableError
from streams.broker.read import Place
from streams.broker.words import no_such_topic
from streams.settings import Settings

#: Seconds without a record or the end of a partition after which the broker is taken to be away.
PATIENCE_S = 15.0
_NO_BROKER = "no broker answers: is VIGIA_BOOTSTRAP_SERVERS right, and is it up?"


def looking_consumer(settings: Settings) -> Consumer:
    """A consumer that keeps no position; its end-of-partition events come at the last stable offset."""
    return observer(settings.bootstrap_servers)


def partitions_of(consumer: Consumer, topic: str) -> int:
    """Number of partitions of a topic. Raises BrokerUnavailableError, TopicMissingError, NotAllowedError."""
    try:
        found = consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic]
    except KafkaException:
        raise BrokerUnavailableError(_NO_BROKER) from None
    if not found.partitions:
        raise no_such_topic(topic, found)
    return len(found.partitions)


def read_log(settings: Settings, topics: Iterable[str], since: datetime | None = None) -> Iterator[Message]:
    """Every record of the topics that was written at or after `since` (None: all), in order within a partition.

    Raises BrokerUnavailableError, TopicMissingError, NotAllowedError.
    """
    cluster = Cluster(settings.bootstrap_servers)
    try:
        places = _places(cluster, topics)
        ends = cluster.readable_ends(places)
        starts = cluster.starts(places) if since is None else cluster.offsets_at(places, int(since.timestamp() * 1000))
        for chunk in cluster.read(spans(starts, ends)):
            yield from chunk
    except UnreadableError as error:
        raise BrokerUnavailableError(f"{error}; is VIGIA_BOOTSTRAP_SERVERS right, and is the broker up?") from None


def _places(cluster: Cluster, topics: Iterable[str]) -> list[Place]:
    counts = cluster.partitions()
    places: list[Place] = []
    for topic in topics:
        if topic not in counts:
            raise cluster.no_such_topic(topic)
        places.extend((topic, partition) for partition in range(counts[topic]))
    return places
