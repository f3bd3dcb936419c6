"""One transaction per partition: the outbox's records and the offsets they came from, together or not at all.

Faust's own manager picks an output's transaction by the *destination* partition and an offset's by the *input*
partition, so the two are not atomic, and it only logs fencing (faust-streaming#177, #323, #517). This one replaces it
behind the hook that Faust gives (`streams.runtime.transport.TransactionManager`); nothing here knows Faust.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from aiokafka.errors import ProducerFenced

from streams import metrics
from streams.runtime.outbox import Batch, Outbox
from streams.runtime.producers import Producers
from streams.runtime.refusals import Patience, Refusal, Rework
from streams.runtime.sending import ProducerLostError, RefusedError, carry_out
from streams.runtime.stamps import Stamps

logger = logging.getLogger(__name__)


class FencedForGoodError(RuntimeError):
    """Another process took over a partition that the group still assigns to this one."""


class Transactions:
    """Carries the outbox to Kafka, and takes partitions over and lets them go in the order that keeps this safe."""

    def __init__(
        self,
        outbox: Outbox,
        producers: Producers,
        *,
        stage_name: str,
        group: str,
        restore: Callable[[set[int]], Awaitable[None]],
        before_release: Callable[[], Awaitable[None]],
        committed_offsets: Callable[[int], Awaitable[Mapping[str, int]]],
        on_committed: Callable[[int, Batch], None],
        rework: Rework,
        crash: Callable[[Exception], Awaitable[None]],
        fenced_patience_s: float,
        stamps: Stamps | None = None,
        with_positions: Callable[[int, Batch], Batch] = lambda _, batch: batch,
    ) -> None:
        """`restore` reads the states of partitions; `committed_offsets` those of the group, by input topic.
        `before_release` lets the stage finish what it does beside its inputs; it still writes through the outbox.

        `crash` ends the process. `fenced_patience_s` is how long a fenced producer waits for the rebalance behind it.
        `with_positions` adds to a batch what its transaction writes of its offsets to the state topic.
        """
        self._outbox = outbox
        self._producers = producers
        self._stage_name = stage_name
        self._group = group
        self._restore = restore
        self._before_release = before_release
        self._committed_offsets = committed_offsets
        self._on_committed = on_committed
        self._rework = rework
        self._crash = crash
        self._with_positions = with_positions
        self._fenced_patience_s = fenced_patience_s
        self._stamps = stamps or Stamps()
        self._locks: dict[int, asyncio.Lock] = {}
        #: Partitions whose next entry is refused; nothing of them is carried out until it is laid aside.
        self._refused: dict[int, Refusal] = {}
        self._redoing = asyncio.Lock()
        self._fenced_at: float | None = None

    async def take_over(self, partitions: set[int], generation: int) -> None:
        """Hold these partitions and no others: fence whoever had them, read their state, open the outbox for them.

        The committed offsets are read after this returns. The order is what makes it safe: once the old owner is fenced
        and its open transaction aborted, neither the offsets nor the state can change any more.
        """
        metrics.REBALANCES.labels(self._stage_name).inc()
        self._revoke_all()
        # Logged before and after: a takeover that hangs keeps the whole group waiting, and this shows at which step.
        logger.info("taking over partitions %s of generation %s", sorted(partitions), generation)
        started = time.perf_counter()
        await self._producers.hold(partitions)
        fenced = time.perf_counter()
        await self._restore(partitions)
        restored = time.perf_counter()
        for partition in sorted(partitions):
            self._outbox.assign(partition, generation)
        self._fenced_at = None
        metrics.ASSIGNED.labels(self._stage_name).set(len(partitions))
        logger.info(
            "holding partitions %s of generation %s: %.1f s to fence the last owner, %.1f s to read their state",
            *(sorted(partitions), generation, fenced - started, restored - fenced),
        )

    async def release(self) -> None:
        """Partitions go: carry out what is complete, then forget the rest.

        The group protocol is eager: every partition is revoked at every rebalance, and read again if it comes back.
        """
        await self._before_release()
        async with self._redoing:
            await self._flush_all()
            self._revoke_all()
        metrics.ASSIGNED.labels(self._stage_name).set(0)

    async def stop(self) -> None:
        """Last chance for what is complete; then the producers close."""
        await self._before_release()
        async with self._redoing:
            await self._flush_all()
        await self._producers.stop_all()

    async def flush(self) -> None:
        """Carry out everything the outbox holds. Does not return before it is committed."""
        await self._flush_all()
        while self._refused:
            await self._redo_refused()
            await self._flush_all()

    async def _flush_all(self) -> None:
        await asyncio.gather(*(self._flush_partition(partition) for partition in self._outbox.partitions))

    def check_fenced(self) -> None:
        """Raises FencedForGoodError where a producer was fenced and no takeover followed; not during a rebalance.

        A takeover by another worker comes with a rebalance that reaches this one too. Where none does (a zombie that
        fenced this producer while it woke up), only a new start of this process gets the partition moving again.
        """
        if self._fenced_at is not None and time.monotonic() - self._fenced_at > self._fenced_patience_s:
            raise FencedForGoodError("fenced, and no rebalance followed: starting anew")

    async def _flush_partition(self, partition: int) -> None:
        async with self._locks.setdefault(partition, asyncio.Lock()):
            patience = Patience()
            while (generation := self._outbox.generation(partition)) is not None and partition not in self._refused:
                batch = patience.next(self._outbox, partition)
                if batch is None:
                    return
                try:
                    await self._transact_or_mend(partition, generation, batch, patience)
                except ProducerFenced:
                    await self._on_fenced(partition)
                    return
                except Exception as error:
                    await self._fail(f"transaction on partition {partition}", error)
                    return

    async def _transact_or_mend(self, partition: int, generation: int, batch: Batch, patience: Patience) -> None:
        """Carry out a batch; where nothing of it was committed, get ready to try again what can be tried again."""
        shift_ms = self._stamps.shift_ms
        try:
            await self._transact(partition, batch)
        except RefusedError as refused:
            metrics.ABORTED.labels(self._stage_name).inc()
            await self._new_session(partition)
            if refused.by_time and self._stamps.shift_ms != shift_ms:
                # It was stamped before another partition's refusal taught us the time.
                return
            if refused.by_time and (ahead_s := self._stamps.correct()) is not None:
                logger.error("this machine's clock is %s s ahead of the broker's: going by the broker's", ahead_s)
            elif await patience.is_final(batch, refused):
                logger.error("partition %s: a record is refused: %s", partition, refused.reason)
                if batch.entries[0].raw is None:
                    # A note of the runtime's own, of no input: worth having, and no reason to stand still.
                    patience.committed()
                    self._outbox.committed(partition, generation, Batch(batch.entries[:1]))
                else:
                    self._refused[partition] = Refusal(batch.entries[0], refused.reason)
        except ProducerLostError as lost:
            metrics.ABORTED.labels(self._stage_name).inc()
            await patience.lost(lost)
            logger.warning("partition %s: a new producer, after %s", partition, lost)
            await self._new_session(partition)
        else:
            patience.committed()
            self._outbox.committed(partition, generation, batch)

    async def _transact(self, partition: int, batch: Batch) -> None:
        started = time.perf_counter()
        self._stamps.saw(batch)
        complete = self._with_positions(partition, batch)
        await carry_out(self._producers[partition], complete, partition, self._group, self._stamps.now())
        metrics.COMMITS.labels(self._stage_name).inc()
        metrics.TRANSACTION.labels(self._stage_name).observe(time.perf_counter() - started)
        self._on_committed(partition, batch)

    async def _new_session(self, partition: int) -> None:
        """End the transaction that is open, with a new producer. Raises ProducerFenced where the partition has moved.

        The old producer is of no use: the broker misses the sequence numbers of what it refused. But a new one fences
        whoever has the partition, without asking the group; so what is committed must be what we have committed.
        """
        await self._producers.start(partition)
        if self._outbox.overtaken(partition, await self._committed_offsets(partition)):
            raise ProducerFenced

    async def _redo_refused(self) -> None:
        """Lay refused inputs aside, and process anew what came after them: it was made from a state that never was."""
        async with self._redoing:
            if not self._refused:
                return
            try:
                await self._before_release()
                async with self._rework.exclusive():
                    # What can be carried out of other partitions is: then their states are those in the log.
                    await self._flush_all()
                    refused = dict(self._refused)
                    for partition, refusal in refused.items():
                        await self._carry_out_late(partition, refusal)
                    await self._rework.redo(refused)
                    for partition in refused:
                        self._refused.pop(partition, None)
            except Exception as error:
                await self._fail("what came after a refused record cannot be processed anew", error)

    async def _carry_out_late(self, partition: int, refusal: Refusal) -> None:
        """Carry out first what came later than its input: it tells of something done, which is not done again."""
        late = self._outbox.take_late(partition)
        if late:
            told = tuple(self._rework.replaced(partition, refusal) if each is refusal.entry else each for each in late)
            await self._transact(partition, Batch(told))

    async def _fail(self, what: str, error: Exception) -> None:
        """End the process. Nothing is known of what was on its way; a new owner finds or aborts it.

        Its supervisor starts another, and reading begins again at the committed offset. Whatever the error is: a worker
        that cannot commit must not go on as if it could.
        """
        self._outbox.close()
        self._refused.clear()
        metrics.ABORTED.labels(self._stage_name).inc()
        logger.error("%s failed: %s", what, type(error).__name__)
        await self._crash(error)

    async def _on_fenced(self, partition: int) -> None:
        metrics.FENCED.labels(self._stage_name).inc()
        logger.warning("partition %s was taken over by another worker: dropping what it had not committed", partition)
        self._outbox.revoke(partition)
        self._fenced_at = self._fenced_at or time.monotonic()
        await self._producers.stop(partition)

    def _revoke_all(self) -> None:
        for partition in self._outbox.partitions:
            self._outbox.revoke(partition)
        self._refused.clear()
