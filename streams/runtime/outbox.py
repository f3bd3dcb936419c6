"""What the stage has completed and no transaction has carried out yet, a partition number at a time.

Faust forgets what was acknowledged when partitions move, and can commit past a message that is still running
(faust-streaming#606). So the offsets that a transaction commits are counted here, not there: per topic, the
contiguous run of inputs completed in this assignment. Pure bookkeeping: no I/O, no clock, no locks (everything runs on
one event loop).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from streams.runtime.records import Outgoing


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction carries: records in the order of completion, and the offset to commit for each topic."""

    records: tuple[Outgoing, ...]
    #: topic → next offset to read.
    offsets: dict[str, int]
    inputs: int


@dataclass(slots=True)
class _Number:
    """A partition number in our hands since group generation `generation`."""

    generation: int
    #: Completed inputs that wait for a transaction: (topic, offset, records), in the order of completion.
    waiting: list[tuple[str, int, Sequence[Outgoing]]] = field(default_factory=list)
    #: topic → the next offset that has not been completed in this assignment.
    completed: dict[str, int] = field(default_factory=dict)


class Outbox:
    """Completed inputs and their records, per partition number."""

    def __init__(self) -> None:
        self._numbers: dict[int, _Number] = {}
        self._closed = False

    def close(self) -> None:
        """Take nothing more: an input could not be completed, and none behind it may be committed before it."""
        self._closed = True

    @property
    def numbers(self) -> tuple[int, ...]:
        """The partition numbers in our hands."""
        return tuple(self._numbers)

    def assign(self, number: int, generation: int) -> None:
        """Take a number over in a group generation; whatever waited under an earlier one is forgotten."""
        self._numbers[number] = _Number(generation)

    def revoke(self, number: int) -> None:
        """Let a number go, with all that waits; a number we do not hold is no error."""
        self._numbers.pop(number, None)

    def expects(self, number: int, generation: int, topic: str, offset: int) -> bool:
        """True for an input to process now.

        False for one of an assignment that is over (it will be read again by its owner), and for one that this
        assignment has completed already: Faust may deliver it again, but the state has moved on and its records wait.
        """
        held = self._numbers.get(number)
        if self._closed:
            return False
        return held is not None and held.generation == generation and offset >= held.completed.get(topic, -1)

    def complete(self, number: int, generation: int, topic: str, offset: int, records: Sequence[Outgoing]) -> bool:
        """Keep an input's records for the next transaction. False where `expects` says so: nothing is kept."""
        if not self.expects(number, generation, topic, offset):
            return False
        held = self._numbers[number]
        held.waiting.append((topic, offset, records))
        held.completed[topic] = offset + 1
        return True

    def take(self, number: int, limit: int, most_records: int | None = None) -> Batch | None:
        """The oldest waiting inputs of a number, at most `limit`, for a transaction; None where nothing waits.

        It ends before the input that would bring it over `most_records`, but holds one input at least.
        They stay until `committed` is called, so a transaction that fails loses nothing.
        """
        held = self._numbers.get(number)
        if held is None or not held.waiting:
            return None
        chosen = held.waiting[:limit]
        if most_records is not None:
            counts = accumulate(len(records) for _, _, records in chosen)
            chosen = chosen[: max(1, sum(count <= most_records for count in counts))]
        offsets: dict[str, int] = {}
        for topic, offset, _ in chosen:
            offsets[topic] = offset + 1
        return Batch(tuple(record for _, _, records in chosen for record in records), offsets, len(chosen))

    def committed(self, number: int, generation: int, batch: Batch) -> None:
        """Forget what a transaction has carried out, unless the number has changed hands meanwhile."""
        held = self._numbers.get(number)
        if held is not None and held.generation == generation:
            del held.waiting[: batch.inputs]

    def generation(self, number: int) -> int | None:
        """The group generation under which the number is ours; None where it is not."""
        held = self._numbers.get(number)
        return None if held is None else held.generation

    def waiting(self) -> int:
        """Inputs completed and not committed, over all numbers."""
        return sum(len(held.waiting) for held in self._numbers.values())
