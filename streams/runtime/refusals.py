"""What is done about a transaction that was not committed: which inputs to try again, and which one to lay aside.

Bookkeeping on values: what was in the transaction and what was refused of it come in, the next batch comes out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from streams.runtime.outbox import Batch, Entry, Outbox
from streams.runtime.sending import ProducerLostError, RefusedError

#: Inputs one transaction carries at most. A bound on the memory of a producer's accumulator and on how much work an
#: aborted transaction repeats; above a few hundred the cost of a transaction is already spread thin.
MAX_INPUTS = 500
#: And records: a tick after an outage raises hundreds of escalations. A transaction of many such took longer than its
#: timeout, was aborted, and was tried again in full.
MAX_RECORDS = 3_000
#: How often a refusal that may pass is tried again, with a pause that grows by this. An emergency waits 0.9 s more; a
#: broker's short trouble (a full queue, a disk that stalls) is over by then, or it is not short.
TRIES, PAUSE_S = 3, 0.15
#: And how often a producer is replaced before the process is.
MOST_LOSSES = 5


@dataclass(frozen=True, slots=True)
class Refusal:
    """An entry that was refused by itself, and the name of the error."""

    entry: Entry
    reason: str


class Rework(Protocol):
    """Processes inputs of a partition anew (`streams.runtime.loop`)."""

    def exclusive(self) -> AbstractAsyncContextManager[object]:
        """While it is held, no input is completed."""

    def replaced(self, partition: int, refusal: Refusal) -> Entry:
        """In place of refused records that came later than their input: those that say so."""

    async def redo(self, refused: Mapping[int, Refusal]) -> None:
        """Read the states of these partitions anew, and process what waits of them: all but the refused entry."""


@dataclass(slots=True)
class Patience:
    """How a partition's outbox is carried out: all at once, or what may be refused one by one."""

    _suspects: list[Entry] = field(default_factory=list)
    _tries: int = 0
    _losses: int = 0

    def next(self, outbox: Outbox, partition: int) -> Batch | None:
        """What the next transaction carries; None where nothing waits. A suspect goes alone."""
        batch = outbox.take(partition, MAX_INPUTS, MAX_RECORDS)
        if batch is None or not self._suspects:
            return batch
        before = next(
            (at for at, entry in enumerate(batch.entries) if any(entry is each for each in self._suspects)), MAX_INPUTS
        )
        return outbox.take(partition, max(1, before), MAX_RECORDS)

    def committed(self) -> None:
        """A transaction has ended well."""
        self._tries = self._losses = 0

    async def is_final(self, batch: Batch, refused: RefusedError) -> bool:
        """Whether the one entry of the batch is to be laid aside; False: try `next` again."""
        if len(batch.entries) > 1:
            self._suspects += [batch.entries[at] for at in refused.entries]
            return False
        if refused.certain or self._tries == TRIES:
            return True
        self._tries += 1
        await asyncio.sleep(self._tries * PAUSE_S)
        return False

    async def lost(self, error: ProducerLostError) -> None:
        """The producer is of no use any more. Raises the error where that has happened too often."""
        self._losses += 1
        if self._losses > MOST_LOSSES:
            raise error
        await asyncio.sleep((self._losses - 1) * PAUSE_S)
