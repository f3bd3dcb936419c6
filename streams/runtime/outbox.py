"""What the stage has completed and no transaction has carried out yet, per partition.

Faust forgets what was acknowledged when partitions move, and can commit past a message that is still running
(faust-streaming#606). So the offsets that a transaction commits are counted here, not there: per topic, the
contiguous run of inputs completed in this assignment. Pure bookkeeping: no I/O, no clock, no locks (everything runs on
one event loop).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from schemas.envelope.raw import RawRecord
from streams.runtime.records import Outgoing


@dataclass(frozen=True, slots=True)
class Entry:
    """The records of one completed input, which wait for a transaction.

    `raw` is the input. `topic` is None where the records came later than their input (its offset is committed).
    """

    topic: str | None
    offset: int
    records: tuple[Outgoing, ...]
    raw: RawRecord | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction carries: entries in the order of completion."""

    entries: tuple[Entry, ...]

    @property
    def records(self) -> tuple[Outgoing, ...]:
        """All records, in order."""
        return tuple(record for entry in self.entries for record in entry.records)

    @property
    def offsets(self) -> dict[str, int]:
        """Topic → next offset to read."""
        return {entry.topic: entry.offset + 1 for entry in self.entries if entry.topic is not None}

    @property
    def inputs(self) -> int:
        """How many entries it carries."""
        return len(self.entries)


@dataclass(slots=True)
class _Held:
    """A partition in our hands since group generation `generation`."""

    generation: int
    #: What waits for a transaction, in the order of completion.
    waiting: list[Entry] = field(default_factory=list)
    #: topic → the next offset that has not been completed in this assignment.
    completed: dict[str, int] = field(default_factory=dict)


class Outbox:
    """Completed inputs and their records, per partition."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Held] = {}
        self._closed = False

    def close(self) -> None:
        """Take nothing more, and give nothing more out: this process ends.

        An input could not be completed and none behind it may be committed before it, or a transaction ended nobody
        knows how, and must not be carried out again.
        """
        self._closed = True

    @property
    def partitions(self) -> tuple[int, ...]:
        """The partitions in our hands."""
        return tuple(self._partitions)

    def assign(self, partition: int, generation: int) -> None:
        """Take a partition over in a group generation; whatever waited under an earlier one is forgotten."""
        self._partitions[partition] = _Held(generation)

    def revoke(self, partition: int) -> None:
        """Let a partition go, with all that waits; one that is not held is no error."""
        self._partitions.pop(partition, None)

    def expects(self, partition: int, generation: int, topic: str, offset: int) -> bool:
        """True for an input to process now.

        False for one of an assignment that is over (it will be read again by its owner), and for one that this
        assignment has completed already: Faust may deliver it again, but the state has moved on and its records wait.
        """
        held = self._partitions.get(partition)
        if self._closed:
            return False
        return held is not None and held.generation == generation and offset >= held.completed.get(topic, -1)

    def complete(
        self,
        partition: int,
        generation: int,
        topic: str,
        offset: int,
        records: Sequence[Outgoing],
        raw: RawRecord | None = None,
    ) -> bool:
        """Keep an input's records for the next transaction. False where `expects` says so: nothing is kept."""
        if not self.expects(partition, generation, topic, offset):
            return False
        held = self._partitions[partition]
        held.waiting.append(Entry(topic, offset, tuple(records), raw))
        held.completed[topic] = offset + 1
        return True

    def append(
        self, partition: int, generation: int, records: Sequence[Outgoing], raw: RawRecord | None = None
    ) -> bool:
        """Keep records whose input was completed before, in this assignment or an earlier one.

        False where the partition is not ours in this generation: nothing is kept.
        """
        held = self._partitions.get(partition)
        if self._closed or held is None or held.generation != generation:
            return False
        held.waiting.append(Entry(None, 0, tuple(records), raw))
        return True

    def take(self, partition: int, limit: int, most_records: int | None = None) -> Batch | None:
        """The oldest waiting inputs of a partition, at most `limit`, for a transaction; None where nothing waits.

        It ends before the input that would bring it over `most_records`, but holds one input at least.
        They stay until `committed` is called, so a transaction that fails loses nothing.
        """
        held = self._partitions.get(partition)
        if self._closed or held is None or not held.waiting:
            return None
        chosen = held.waiting[:limit]
        if most_records is not None:
            counts = accumulate(len(entry.records) for entry in chosen)
            chosen = chosen[: max(1, sum(count <= most_records for count in counts))]
        return Batch(tuple(chosen))

    def take_back(self, partition: int) -> list[Entry]:
        """All that waits of a partition, which the caller completes again; until then the outbox expects it again."""
        held = self._partitions.get(partition)
        if held is None:
            return []
        entries, held.waiting = held.waiting, []
        for entry in reversed(entries):
            if entry.topic is not None:
                held.completed[entry.topic] = entry.offset
        return entries

    def take_late(self, partition: int) -> list[Entry]:
        """Remove and return what came later than its input."""
        held = self._partitions.get(partition)
        if held is None:
            return []
        late = [entry for entry in held.waiting if entry.topic is None]
        held.waiting = [entry for entry in held.waiting if entry.topic is not None]
        return late

    def overtaken(self, partition: int, committed: Mapping[str, int]) -> bool:
        """Whether these offsets (topic → next to read) are not what this assignment has committed: another's are."""
        held = self._partitions.get(partition)
        if held is None:
            return True
        ours = dict(held.completed)
        for entry in reversed(held.waiting):
            if entry.topic is not None:
                ours[entry.topic] = entry.offset
        return any(offset > ours[topic] for topic, offset in committed.items() if topic in ours)

    def committed(self, partition: int, generation: int, batch: Batch) -> None:
        """Forget what a transaction has carried out, unless the partition has changed hands meanwhile."""
        held = self._partitions.get(partition)
        if held is not None and held.generation == generation:
            del held.waiting[: batch.inputs]

    def generation(self, partition: int) -> int | None:
        """The group generation under which the partition is ours; None where it is not."""
        held = self._partitions.get(partition)
        return None if held is None else held.generation

    def waiting(self) -> int:
        """Inputs completed and not committed, over all partitions."""
        return sum(len(held.waiting) for held in self._partitions.values())
