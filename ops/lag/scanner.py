"""Follows the partitions in which some group has unread records, and counts the readable ones as they arrive.

Each record is read once, however many groups read it. A partition that every group has read to its end is not read.
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
from streams.broker.skipping import Skipper

#: When the slowest group is this many offsets ahead of the count, counting starts anew there: what lies between is read
#: by no group any more.
JUMP = 50_000
#: Seconds without a new record after which a partition is no longer fetched. Every fetched partition makes each fetch
#: request larger.
IDLE_S = 30.0
#: Messages taken from librdkafka at a time; bounds the Python objects alive at once.
CHUNK = 5_000
#: Density is averaged over about this many offsets, so that it follows a change of transaction size within minutes.
DENSITY_WINDOW = 100_000


class Scanner:
    """Owns the indexes. Not thread-safe: one loop refreshes, and scans in between."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer: Consumer = reading_consumer(bootstrap_servers)
        self._skipper = Skipper(self._consumer)
        self.indexes: dict[Partition, PartitionIndex] = {}
        #: Positions at which an index must stay exact.
        self.pins: Mapping[Partition, Set[int]] = {}
        self._assigned: dict[Partition, float] = {}
        self._density: dict[Partition, tuple[float, float]] = {}

    def follow(self, lowest: Mapping[Partition, int], bounds: Mapping[Partition, Bounds]) -> None:
        """Count from the lowest position of any group, in the partitions where it is below the last stable offset."""
        now = time.monotonic()
        starts: dict[Partition, int] = {}
        for partition, position in lowest.items():
            index = self.indexes.get(partition)
            if index is None or index.end < bounds[partition].log_start or position > index.end + JUMP:
                self.indexes[partition] = PartitionIndex(position)
                starts[partition] = position
                continue
            index.drop_below(position)
            if index.end < bounds[partition].last_stable:
                if partition in self._assigned:
                    self._assigned[partition] = now
                else:
                    starts[partition] = index.end
        self._unassign(partition for partition in starts if partition in self._assigned)
        self._assign(starts, now)
        self._unassign(partition for partition, since in self._assigned.items() if now - since > IDLE_S)
        for partition in [
            partition for partition in self.indexes if partition not in lowest and partition not in self._assigned
        ]:
            del self.indexes[partition]

    def catch_up(self, targets: Mapping[Partition, int], deadline: float) -> None:
        """Scan until every target offset was looked at, or the monotonic clock shows `deadline`."""
        while time.monotonic() < deadline and any(self._behind(partition, upto) for partition, upto in targets.items()):
            self.scan(0.05)

    def scan(self, timeout_s: float) -> int:
        """Take in what the broker has sent; wait up to `timeout_s` for the first. Returns how many messages came."""
        if not self._assigned:
            time.sleep(timeout_s)
            return 0
        messages = self._consumer.consume(CHUNK, timeout_s)
        ends: dict[Partition, int] = {}
        records: dict[Partition, int] = defaultdict(int)
        for message in messages:
            partition = (message.topic(), message.partition())
            error = message.error()
            if self._skipper.skipped(message) is not None:
                continue
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                # Retention was faster than the count, or the topic is gone: the next look at the broker decides where
                # counting goes on.
                self.forget([partition])
                continue
            index = self.indexes.get(partition)
            if index is None:
                continue
            ends.setdefault(partition, index.end)
            if error is not None:
                index.scanned_to(message.offset())
            else:
                index.append(message.offset(), message.timestamp()[1])
                records[partition] += 1
        for partition, end in ends.items():
            if (index := self.indexes.get(partition)) is not None:
                self._count(partition, index.end - end, records[partition])
                thin_if_full(index, self.pins.get(partition, frozenset()))
        return len(messages)

    def density(self, partition: Partition) -> float:
        """Readable records per offset, lately: 1.0 without transactions, 0.5 with one record per transaction."""
        looked_at, readable = self._density.get(partition, (0.0, 0.0))
        return readable / looked_at if looked_at else 1.0

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Drop all that is known of these: the topic was deleted or recreated."""
        partitions = set(partitions)
        self._unassign(partition for partition in partitions if partition in self._assigned)
        for partition in partitions:
            self.indexes.pop(partition, None)
            self._density.pop(partition, None)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _count(self, partition: Partition, looked_at: int, readable: int) -> None:
        offsets, records = self._density.get(partition, (0.0, 0.0))
        fade = 0.5 if offsets > DENSITY_WINDOW else 1.0
        self._density[partition] = (offsets * fade + looked_at, records * fade + readable)

    def _behind(self, partition: Partition, upto: int) -> bool:
        index = self.indexes.get(partition)
        return index is not None and index.end < upto

    def _assign(self, starts: Mapping[Partition, int], now: float) -> None:
        if starts:
            self._consumer.incremental_assign(
                [TopicPartition(*partition, offset) for partition, offset in starts.items()]
            )
        self._assigned.update(dict.fromkeys(starts, now))

    def _unassign(self, partitions: Iterable[Partition]) -> None:
        partitions = list(partitions)
        if partitions:
            self._consumer.incremental_unassign([TopicPartition(*partition) for partition in partitions])
        for partition in partitions:
            del self._assigned[partition]
