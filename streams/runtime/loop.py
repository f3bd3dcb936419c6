"""The stage loop: a batch of consumed messages in, completed outbox entries out.

Whatever happens to an input, it leaves here as records in the outbox. Faust acknowledges an event whose agent raised,
so nothing may raise but what shall end the process, and nothing that lies in a record does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic

from schemas.envelope.raw import RawRecord
from schemas.events import Lane
from schemas.record import Record
from streams import metrics
from streams.runtime import unreadable
from streams.runtime.decoding import Codec, ConsumedMessage, raw_record
from streams.runtime.latency import Latencies
from streams.runtime.outbox import Batch, Entry, Outbox
from streams.runtime.processor import Condemned, Item, Processor, event_id_of_input
from streams.runtime.quarantine import ValueStore, quarantined
from streams.runtime.records import EventT, InputProblem, Result, StateChange, StateT
from streams.runtime.refusals import Refusal
from streams.runtime.stage import Stage
from streams.runtime.state import PartitionState

logger = logging.getLogger(__name__)

#: Completed inputs the outbox may hold before the loop waits for a transaction: a bound on memory when the broker is
#: slow, well above what a commit interval gathers.
OUTBOX_LIMIT = 2_000


class RefusedForGoodError(RuntimeError):
    """Even the least that can be said of an input was refused: the topics are not as they must be."""


class StageLoop(Generic[EventT, StateT]):
    """Runs one stage over the batches of its stream.

    `states` are those of the partitions held, by partition; `flush` carries out what the outbox holds.
    """

    def __init__(
        self,
        stage: Stage[EventT, StateT],
        codec: Codec,
        outbox: Outbox,
        states: Mapping[int, PartitionState[StateT]],
        flush: Callable[[], Awaitable[None]],
        *,
        restore_again: Callable[[set[int]], Awaitable[None]] | None = None,
        store: ValueStore | None = None,
        moved: Callable[[], None] = lambda: None,
        in_hand: Callable[[Sequence[tuple[str, int, int]]], None] = lambda _: None,
    ) -> None:
        """`restore_again` reads the states of some of the partitions anew; `store` keeps what no dead letter can;
        `moved` is called when a part of a batch is done, `in_hand` with the records (topic, partition, offset) that
        are worked on, and with none when that is over."""
        self._stage = stage
        self._outbox = outbox
        self._states = states
        self._flush = flush
        self._processor = Processor(stage, codec, store, moved)
        self.encoder = self._processor.encoder
        self._latencies = Latencies(stage.name)
        self._flushing: set[asyncio.Future[None]] = set()
        self._restore_again = restore_again
        self._in_hand = in_hand
        self._working = asyncio.Lock()
        #: Whoever holds it has no batch beside his own.
        self.turn = asyncio.Lock()
        stage.attach(self._complete_later)

    def on_restored(self) -> None:
        """Partitions were assigned anew: what was on its way under the last assignment is read again."""
        self._latencies.clear()

    def ask_about_state(self) -> None:
        """Let people be asked about entries of the state that the stage cannot read; after a takeover."""
        metrics.STATE_UNREADABLE.labels(self._stage.name).set(sum(len(s.unreadable) for s in self._states.values()))
        for partition, state in self._states.items():
            generation = self._outbox.generation(partition)
            asked = unreadable.requests(self._stage, self.encoder, partition, state)
            if generation is not None and asked:
                self._outbox.append(partition, generation, asked)

    def on_committed(self, partition: int, batch: Batch) -> None:
        """Count and time what a transaction has carried out."""
        for sent in batch.records:
            metrics.RECORDS_OUT.labels(self._stage.name, sent.topic).inc()
        self._latencies.committed(partition, batch.offsets)
        self._stage.on_committed(partition, batch.offsets)
        if self._processor.condemned:
            for entry in batch.entries:
                self._processor.condemned.pop((entry.topic or "", partition, entry.offset), None)

    async def process(self, messages: Sequence[ConsumedMessage]) -> None:
        """Process one batch in order; on return every message of the current assignment is complete in the outbox."""
        async with self.turn, self._working:
            items = self._expected(messages)
            if not items:
                return
            metrics.BATCH.labels(self._stage.name).observe(len(items))
            for item in await self._work_off(items):
                metrics.RECORDS_IN.labels(self._stage.name, item.raw.topic).inc()
        await self._flush_if_due(items)

    async def process_read(self, raw: RawRecord, problem: InputProblem | None = None) -> bool:
        """Process one record that the caller has read; with a `problem` it is laid aside as a pointer, untried.

        False where the partition is not held any more, or the record was completed before.
        """
        async with self._working:
            generation = self._outbox.generation(raw.partition)
            if generation is None or not self._outbox.expects(raw.partition, generation, raw.topic, raw.offset):
                return False
            if problem is not None:
                self.condemn(raw.topic, raw.partition, raw.offset, problem, least=True)
            done = await self._work_off([Item(raw, generation, self._states[raw.partition])])
        metrics.RECORDS_IN.labels(self._stage.name, raw.topic).inc(len(done))
        return bool(done)

    def condemn(self, topic: str, partition: int, offset: int, problem: InputProblem, *, least: bool = False) -> None:
        """Send this input to the dead letters when it comes, unread; as a pointer and no more for `least`."""
        self._processor.condemned[topic, partition, offset] = Condemned(problem, least)

    def exclusive(self) -> asyncio.Lock:
        """While it is held, no input is completed. See `refusals.Rework`."""
        return self._working

    def replaced(self, partition: int, refusal: Refusal) -> Entry:
        """In place of refused records that came later than their input: those that say so, and its state."""
        raw = refusal.entry.raw
        assert raw is not None
        records = quarantined(self._stage, self.encoder, raw, None, _refused(refusal))
        state = (record for record in refusal.entry.records if record.topic == self._stage.state_topic)
        return Entry(None, 0, (*records, *state), raw)

    async def redo(self, refused: Mapping[int, Refusal]) -> None:
        """Process what waits of these partitions anew, on the state that is in the log, without the refused inputs.

        Raises RefusedForGoodError where an input was refused as a pointer too.
        """
        for partition, refusal in refused.items():
            if refusal.entry.topic is not None:
                self._condemn_refused(partition, refusal)
        waiting = {partition: self._outbox.take_back(partition) for partition in refused}
        assert self._restore_again is not None
        await self._restore_again(set(refused))
        for partition, entries in waiting.items():
            generation = self._outbox.generation(partition)
            if generation is not None:
                self._latencies.forget(partition)
                raws = [entry.raw for entry in entries if entry.raw is not None]
                await self._work_off([Item(raw, generation, self._states[partition]) for raw in raws])

    def _condemn_refused(self, partition: int, refusal: Refusal) -> None:
        position = (refusal.entry.topic or "", partition, refusal.entry.offset)
        before = self._processor.condemned.get(position)
        if before is not None and before.least:
            raise RefusedForGoodError(f"{position}: {refusal.reason}; see: vigia topics check")
        # A record of ours without its event and with no more than a pointer is as small as one can be.
        self.condemn(*position, _refused(refusal), least=before is not None)

    async def _work_off(self, items: Sequence[Item[EventT, StateT]]) -> list[Item[EventT, StateT]]:
        """Give each of these its result and complete it, in order; those that are complete."""
        taken_up = time.time()
        self._in_hand([(item.raw.topic, item.raw.partition, item.raw.offset) for item in items])
        try:
            await self._processor.process(items)
        finally:
            self._in_hand(())
        done = []
        for item in items:
            raw = item.raw
            records = self._processor.records(item)
            if self._outbox.complete(raw.partition, item.generation, raw.topic, raw.offset, records, raw):
                self._latencies.completed(raw.topic, raw.partition, raw.offset, taken_up, item.event)
                done.append(item)
        return done

    def _complete_later(self, raw: RawRecord, event: EventT, result: Result, state: Sequence[StateChange]) -> bool:
        generation = self._outbox.generation(raw.partition)
        if generation is None:
            return False
        item = Item(raw, generation, self._states[raw.partition], event, result)
        changes = list(state)
        if result.problem is not None and self._stage.deduplicates:
            # The mark is in the log since the input was completed; redriven, it must not be taken for a duplicate.
            changes.append(item.state.forget_written(event_id_of_input(event)))
        records = self._processor.records(item)
        records.extend(self.encoder.state_record(change, raw.partition) for change in changes)
        return self._outbox.append(raw.partition, generation, records, raw)

    def _expected(self, messages: Sequence[ConsumedMessage]) -> list[Item[EventT, StateT]]:
        """The messages of this assignment that are new, in order."""
        items: list[Item[EventT, StateT]] = []
        met: set[tuple[str, int, int]] = set()
        for message in messages:
            topic, partition, offset = position = (message.topic, message.partition, message.offset)
            generation = message.generation_id
            if position not in met and self._outbox.expects(partition, generation, topic, offset):
                met.add(position)
                raw = raw_record(message)
                items.append(Item(raw, generation, self._states[partition]))
        return items

    async def _flush_if_due(self, items: Sequence[Item[EventT, StateT]]) -> None:
        if self._outbox.waiting() >= OUTBOX_LIMIT:
            await self._flush()
        elif any(item.event is None or _is_urgent(item.event) for item in items):
            # Not awaited: the next batch may begin while this one's transaction is on its way.
            flushing = asyncio.ensure_future(self._flush())
            self._flushing.add(flushing)
            flushing.add_done_callback(self._flushing.discard)


def _refused(refusal: Refusal) -> InputProblem:
    return InputProblem(reason="refused", detail=f"the broker refused what was made of it: {refusal.reason}")


def _is_urgent(event: Record) -> bool:
    # Acknowledgements and ticks carry no lane; both stop or raise an alarm, so they do not wait either.
    return getattr(event, "lane", Lane.EMERGENCY) is Lane.EMERGENCY
