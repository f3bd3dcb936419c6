"""Where a consumer group stands, as the broker has it."""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import TopicPartition

from streams.broker.clients import observer

#: Patience with a group's coordinator, seconds; it may just be moving.
TIMEOUT_S = 30.0


def committed_offsets(bootstrap_servers: str, group: str, topics: Iterable[str], partition: int) -> dict[str, int]:
    """Topic → committed offset of the group on this partition; a topic without one is left out.

    Offsets of a transaction whose end is on its way are waited for. Blocking. Raises KafkaException.
    """
    consumer = observer(bootstrap_servers, group=group)
    try:
        found = consumer.committed([TopicPartition(topic, partition) for topic in topics], timeout=TIMEOUT_S)
        return {place.topic: place.offset for place in found if place.offset >= 0}
    finally:
        consumer.close()
