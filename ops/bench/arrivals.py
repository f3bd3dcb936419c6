"""When records arrive on a topic: read like any subscriber, timed by the broker's record timestamps."""

from __future__ import annotations

import time
from typing import Any

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from schemas.serde import Serde
from streams.settings import Settings


class Arrivals:
    """A read_committed reader from the present end of some topics. Keeps (topic, event, seconds since the epoch)."""

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
        places = [TopicPartition(name, number) for name in names for number in range(settings.partitions)]
        for place in places:
            place.offset = self._end(place)
        self._consumer.assign(places)
        assert all(place.offset != OFFSET_END for place in places)

    def _end(self, place: TopicPartition) -> int:
        # A topic that was just created may not have told everyone its leader yet.
        deadline = time.monotonic() + 10
        while True:
            try:
                return int(self._consumer.get_watermark_offsets(place, timeout=10)[1])
            except KafkaException:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def read(self, timeout_s: float) -> None:
        """Take what is there; wait so long for the first."""
        for message in self._consumer.consume(500, timeout_s):
            if message.error() is None:
                event = self._serde.decode(message.value() or b"")
                self.seen.append((str(message.topic()), event, message.timestamp()[1] / 1000))
