"""Reads topics as any subscriber would, and keeps when each record arrived by the broker's timestamps."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from schemas.serde import Serde
from streams.settings import Settings


class Arrivals:
    """A read_committed reader from the present end of some topics.

    `seen` holds (topic, event, seconds since the epoch) of every record.
    """

    def __init__(self, settings: Settings, serde: Serde, names: tuple[str, ...]) -> None:
        self.seen: list[tuple[str, Any, float]] = []
        self._serde = serde
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": "vigia-bench",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
                "log_level": 0,
            }
        )
        # The offsets must be known before anything is published, so they are looked up rather than left to the client.
        partitions = [TopicPartition(name, partition) for name in names for partition in range(settings.partitions)]
        for partition in partitions:
            partition.offset = self._end(partition)
        self._consumer.assign(partitions)
        assert all(partition.offset != OFFSET_END for partition in partitions)

    def _end(self, partition: TopicPartition) -> int:
        # The leader of a topic that was just created may not be known to every broker yet.
        deadline = time.monotonic() + 10
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(partition, timeout=10)[1])
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def read(self, timeout_s: float) -> None:
        """Take in what has arrived; wait up to `timeout_s` for the first record."""
        for message in self._consumer.consume(500, timeout_s):
            if message.error() is None:
                event = self._serde.decode(message.value() or b"", message.topic() or "")
                self.seen.append((str(message.topic()), event, message.timestamp()[1] / 1000))
