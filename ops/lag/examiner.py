"""Reads short stretches of a partition again where its index is too coarse, within a bounded time per refresh.

There are three occasions: a group does not move inside a merged segment (the count there is made exact), a group went
back to before what was counted, and a compacted topic, in which records vanish after they were counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from enum import Enum

from confluent_kafka import KafkaError, TopicPartition

from ops.lag.client import Partition, reading_consumer
from ops.lag.index import PartitionIndex
from ops.lag.thinning import thin_if_full
from streams.broker.skipping import Skipper

#: Stretches read at the same time; they share each answer of the broker, so more of them make each one slower.
AT_ONCE = 64
CHUNK = 2_000


class Occasion(Enum):
    """Why a stretch is read."""

    SHARPEN = "sharpen"
    EXTEND = "extend"
    RECOUNT = "recount"


@dataclass(slots=True, kw_only=True)
class Stretch:
    """[first, last) of a partition.

    For SHARPEN `last` is the end of the segment, for the others a boundary of the index.
    """

    partition: Partition
    occasion: Occasion
    first: int
    last: int
    fresh: PartitionIndex = field(init=False)
    #: Seconds that reading it has taken so far.
    took_s: float = 0.0

    def __post_init__(self) -> None:
        self.fresh = PartitionIndex(self.first)


class Examiner:
    """Reads stretches within a time budget per refresh, and puts what it found into the indexes."""

    def __init__(self, bootstrap_servers: str, indexes: MutableMapping[Partition, PartitionIndex]) -> None:
        self._consumer = reading_consumer(bootstrap_servers, {"max.partition.fetch.bytes": 256 << 10})
        self._skipper = Skipper(self._consumer)
        self._indexes = indexes
        self._waiting: dict[Partition, Stretch] = {}
        self._reading: dict[Partition, Stretch] = {}
        #: When a partition may be recounted again (monotonic).
        self._recount_at: dict[Partition, float] = {}

    def ask(self, stretch: Stretch) -> None:
        """Read this when there is time. At most one stretch per partition waits; a second request for it is dropped."""
        if stretch.partition not in self._reading and stretch.first < stretch.last:
            self._waiting.setdefault(stretch.partition, stretch)

    def due_for_recount(self, partition: Partition, every_s: float) -> bool:
        """Whether a compacted partition was last counted longer ago than `every_s` (or 20 times what counting took)."""
        now = time.monotonic()
        return now >= self._recount_at.setdefault(partition, now + every_s)

    def recounted(self, partition: Partition, every_s: float, took_s: float) -> None:
        """Record a finished recount: the next one is due after a while that keeps its cost below 5 %."""
        self._recount_at[partition] = time.monotonic() + max(every_s, 20 * took_s)

    @property
    def pending(self) -> int:
        """Stretches not yet read."""
        return len(self._waiting) + len(self._reading)

    def boundaries(self, partition: Partition) -> Iterable[int]:
        """Offsets that the index must keep as boundaries while a stretch of this partition is under way."""
        stretch = self._reading.get(partition) or self._waiting.get(partition)
        return (stretch.first, stretch.last) if stretch else ()

    def read(self, deadline: float, every_s: float) -> None:
        """Read until nothing is asked for or the monotonic clock shows `deadline`."""
        while self.pending and time.monotonic() < deadline:
            self._begin()
            began = time.monotonic()
            messages = self._consumer.consume(CHUNK, 0.05)
            for stretch in self._reading.values():
                stretch.took_s += (time.monotonic() - began) / len(self._reading)
            for message in messages:
                partition = (message.topic(), message.partition())
                reading = self._reading.get(partition)
                if reading is None:
                    continue
                error = message.error()
                if (following := self._skipper.skipped(message)) is not None:
                    # Nobody can read it, so no group has it to read.
                    if following >= reading.last:
                        self._finish(reading, every_s)
                elif error is not None and error.code() != KafkaError._PARTITION_EOF:
                    self._end([reading])
                elif error is not None or message.offset() >= reading.last:
                    self._finish(reading, every_s)
                else:
                    reading.fresh.append(message.offset(), message.timestamp()[1])
                    thin_if_full(reading.fresh)

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Stop reading these."""
        partitions = list(partitions)
        self._end([self._reading[partition] for partition in partitions if partition in self._reading])
        for partition in partitions:
            self._waiting.pop(partition, None)
            self._recount_at.pop(partition, None)

    def close(self) -> None:
        """Close the connection."""
        self._consumer.close()

    def _begin(self) -> None:
        fresh = list(self._waiting.values())[: AT_ONCE - len(self._reading)]
        if not fresh:
            return
        for stretch in fresh:
            self._reading[stretch.partition] = self._waiting.pop(stretch.partition)
        self._consumer.incremental_assign([TopicPartition(*s.partition, s.first) for s in fresh])

    def _end(self, stretches: Iterable[Stretch]) -> None:
        stretches = list(stretches)
        if stretches:
            self._consumer.incremental_unassign([TopicPartition(*s.partition) for s in stretches])
        for stretch in stretches:
            del self._reading[stretch.partition]

    def _finish(self, stretch: Stretch, every_s: float) -> None:
        self._end([stretch])
        stretch.fresh.scanned_to(stretch.last)
        index = self._indexes.get(stretch.partition)
        if stretch.occasion is Occasion.RECOUNT:
            self.recounted(stretch.partition, every_s, stretch.took_s)
        if index is None:
            return
        try:
            put(index, stretch)
        except ValueError:
            # The index changed meanwhile (records were dropped, the topic was recreated): the stretch is asked for
            # again if it is still needed.
            return


def put(index: PartitionIndex, stretch: Stretch) -> None:
    """Put what a stretch found into the index.

    ValueError: the index has moved on and no longer has these boundaries.
    """
    fresh = stretch.fresh
    if stretch.occasion is not Occasion.SHARPEN:
        index.replace(stretch.first, stretch.last, fresh)
    elif stretch.last in (index.end, *index.starts) and stretch.first >= index.start:
        index.split(stretch.first, fresh.readable(), fresh.times[0] if len(fresh) else 0)
