"""Read what stands on topics, committed records only, from some time until now; no group and no position is kept."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.broker.errors import BrokerUnavailableError, TopicMissingError
from streams.settings import Settings

#: Seconds without a record or the end of a partition after which the broker is taken to be away.
PATIENCE_S = 15.0
_NO_BROKER = "no broker answers: is VIGIA_BOOTSTRAP_SERVERS right, and is it up?"


def looking_consumer(settings: Settings) -> Consumer:
    """A consumer that keeps no position; its end-of-partition events come at the last stable offset."""
    return Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            # Required by the client, never used: nothing is committed and nothing joined.
            "group.id": "vigia-look",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
    )


def partitions_of(consumer: Consumer, topic: str) -> int:
    """Number of partitions of a topic. Raises BrokerUnavailableError, TopicMissingError."""
    try:
        found = consumer.list_topics(topic, timeout=PATIENCE_S).topics[topic].partitions
    except KafkaException:
        raise BrokerUnavailableError(_NO_BROKER) from None
    if not found:
        raise TopicMissingError(f"topic {topic} does not exist: run `vigia topics apply`")
    return len(found)


def read_log(settings: Settings, topics: Iterable[str], since: datetime | None = None) -> Iterator[Message]:
    """Every record of the topics that was written at or after `since` (None: all), in order within a partition.

    Raises BrokerUnavailableError, TopicMissingError.
    """
    consumer = looking_consumer(settings)
    try:
        places = [TopicPartition(name, n) for name in topics for n in range(partitions_of(consumer, name))]
        waiting = {(place.topic, place.partition) for place in places}
        consumer.assign(_starts(consumer, places, since))
        while waiting:
            message = consumer.poll(PATIENCE_S)
            if message is None:
                raise BrokerUnavailableError(_NO_BROKER)
            error = message.error()
            if error is None:
                yield message
            elif error.code() == KafkaError._PARTITION_EOF:
                waiting.discard((message.topic(), message.partition()))
            elif not error.retriable():
                raise BrokerUnavailableError(f"{message.topic()}: {error.name()}")
    except KafkaException as error:
        raise BrokerUnavailableError(error.args[0].str()) from None
    finally:
        consumer.close()


def _starts(consumer: Consumer, places: list[TopicPartition], since: datetime | None) -> list[TopicPartition]:
    if since is None:
        return [TopicPartition(place.topic, place.partition, OFFSET_BEGINNING) for place in places]
    ms = int(since.timestamp() * 1000)
    found = consumer.offsets_for_times([TopicPartition(p.topic, p.partition, ms) for p in places], timeout=PATIENCE_S)
    # Below zero: nothing is younger.
    return [TopicPartition(p.topic, p.partition, p.offset if p.offset >= 0 else OFFSET_END) for p in found]
