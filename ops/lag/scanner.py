"""Follows the partitions in which some group has something to read, and counts what is readable as it arrives.

Each record is read once, whoever else reads it. A partition in which every group stands at the end is not read at all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set

from confluent_kafka import Consumer, KafkaError, TopicPartition

from ops.lag.client import Partition, reading_consumer
from ops.lag.index import PartitionIndex
from ops.lag.positions import Bounds
from ops.lag.thinning import thin_if_full

#: When the groups are this many offsets ahead of the count, it is cheaper to start there than to read what nobody
#: needs.
JUMP = 50_000
#: Seconds without anything new after which a partition is no longer fetched. Each one that is makes the fetch larger.
IDLE_S = 30.0
#: Messages taken from librdkafka at a time; bounds the Python objects alive at once.
CHUNK = 5_000
#: Density is averaged over about this many offsets, so that it follows a change of transaction size within minutes.
DENSITY_WINDOW = 100_000


class Scanner:
    """Owns the indexes. Not thread-safe: one loop refreshes, and scans in between."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer: Consumer = reading_consumer(bootstrap_servers)
        self.indexes: dict[Partition, PartitionIndex] = {}
        #: Positions at which an index must stay exact.
        self.pins: Mapping[Partition, Set[int]] = {}
        self._assigned: dict[Partition, float] = {}
        self._density: dict[Partition, tuple[float, float]] = {}

    def follow(self, lowest: Mapping[Partition, int], bounds: Mapping[Partition, Bounds]) -> None:
        """Count from the lowest position of any group, in the partitions where it is below the last stable offset."""
        now = time.monotonic()
        starts: dict[Partition, int] = {}
        for place, position in lowest.items():
            index = self.indexes.get(place)
            if index is None or index.end < bounds[place].log_start or position > index.end + JUMP:
                self.indexes[place] = PartitionIndex(position)
                starts[place] = position
                continue
            index.drop_below(position)
            if index.end < bounds[place].last_stable:
                if place in self._assigned:
                    self._assigned[place] = now
                else:
                    starts[place] = index.end
        self._unassign(place for place in starts if place in self._assigned)
        self._assign(starts, now)
        self._unassign(place for place, since in self._assigned.items() if now - since > IDLE_S)
        for place in [place for place in self.indexes if place not in lowest and place not in self._assigned]:
            del self.indexes[place]

    def catch_up(self, targets: Mapping[Partition, int], deadline: float) -> None:
        """Scan until every target offset was looked at, or the monotonic clock shows `deadline`."""
        while time.monotonic() < deadline and any(self._behind(place, upto) for place, upto in targets.items()):
            self.scan(0.05)

    def scan(self, timeout_s: float) -> int:
        """Take in what the broker has sent; wait up to `timeout_s` for the first.

        Returns how many messages there were.
        """
        if not self._assigned:
            time.sleep(timeout_s)
            return 0
        messages = self._consumer.consume(CHUNK, timeout_s)
        ends: dict[Partition, int] = {}
        records: dict[Partition, int] = defaultdict(int)
        for message in messages:
            place = (message.topic(), message.partition())
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                # Retention was faster than the count, or the topic is gone: the next look says from where to go on.
                self.forget([place])
                continue
            index = self.indexes.get(place)
            if index is None:
                continue
            ends.setdefault(place, index.end)
            if error is not None:
                index.scanned_to(message.offset())
            else:
                index.append(message.offset(), message.timestamp()[1])
                records[place] += 1
        for place, end in ends.items():
            if (index := self.indexes.get(place)) is not None:
                self._count(place, index.end - end, records[place])
                thin_if_full(index, self.pins.get(place, frozenset()))
        return len(messages)

    def density(self, place: Partition) -> float:
        """Readable records an offset, lately: 1.0 without transactions, 0.5 with one record a transaction."""
        looked_at, readable = self._density.get(place, (0.0, 0.0))
        return readable / looked_at if looked_at else 1.0

    def forget(self, places: Iterable[Partition]) -> None:
        """Drop all that is known of these: the topic is gone, or was made anew."""
        places = set(places)
        self._unassign(place for place in places if place in self._assigned)
        for place in places:
            self.indexes.pop(place, None)
            self._density.pop(place, None)

    def close(self) -> None:
        """Let go of the connection."""
        self._consumer.close()

    def _count(self, place: Partition, looked_at: int, readable: int) -> None:
        offsets, records = self._density.get(place, (0.0, 0.0))
        fade = 0.5 if offsets > DENSITY_WINDOW else 1.0
        self._density[place] = (offsets * fade + looked_at, records * fade + readable)

    def _behind(self, place: Partition, upto: int) -> bool:
        index = self.indexes.get(place)
        return index is not None and index.end < upto

    def _assign(self, starts: Mapping[Partition, int], now: float) -> None:
        if starts:
            self._consumer.incremental_assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._assigned.update(dict.fromkeys(starts, now))

    def _unassign(self, places: Iterable[Partition]) -> None:
        places = list(places)
        if places:
            self._consumer.incremental_unassign([TopicPartition(*place) for place in places])
        for place in places:
            del self._assigned[place]
