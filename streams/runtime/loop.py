"""The stage loop: a batch of consumed messages in, completed outbox entries out.

Whatever happens to an input, it leaves here as records in the outbox. Faust acknowledges an event whose agent raised,
so nothing may raise but what shall end the process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, cast
from uuid import UUID

from schemas.envelope.audit import sha256_hex
from schemas.envelope.dead_letter import READER, case_id_of, event_id_of
from schemas.envelope.raw import RawRecord
from schemas.events import CaseRecord, Lane, PipelineStage
from schemas.record import Record
from streams import metrics
from streams.pipeline import further_reader
from streams.runtime.dead_letter import dead_letter
from streams.runtime.decoding import Codec, ConsumedMessage, InputDecoder, raw_record
from streams.runtime.encoding import ResultEncoder
from streams.runtime.latency import Latencies
from streams.runtime.outbox import Batch, Outbox
from streams.runtime.records import AuditNote, EventT, Input, InputProblem, Outgoing, Result, StateChange, StateT
from streams.runtime.seen import CONTENT_BYTES, Seen
from streams.runtime.stage import Stage, failure
from streams.runtime.state import PartitionState
from streams.topics import DEAD_LETTERS

logger = logging.getLogger(__name__)

#: Completed inputs the outbox may hold before the loop waits for a transaction: a bound on memory when the broker is
#: slow, well above what a commit interval gathers.
OUTBOX_LIMIT = 2_000


@dataclass(slots=True)
class _Item(Generic[EventT, StateT]):
    """One consumed record on its way through the loop: first it gets an event, then a result.

    It holds the state of its assignment: a rebalance while the stage works must not slip another one in.
    """

    raw: RawRecord
    generation: int
    hash: str
    state: PartitionState[StateT]
    #: None where it could not be decoded.
    event: EventT | None = None
    result: Result | None = None


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
    ) -> None:
        self._stage = stage
        self._outbox = outbox
        self._states = states
        self._flush = flush
        self._decoder = InputDecoder(stage, codec)
        self.encoder = ResultEncoder(codec, stage.state_topic)
        self._latencies = Latencies(stage.name)
        self._flushing: set[asyncio.Future[None]] = set()
        stage.attach(self._complete_later)

    def on_restored(self) -> None:
        """Partitions were assigned anew: what was on its way under the last assignment is read again."""
        self._latencies.clear()

    def on_committed(self, partition: int, batch: Batch) -> None:
        """Count and time what a transaction has carried out."""
        for sent in batch.records:
            metrics.RECORDS_OUT.labels(self._stage.name, sent.topic).inc()
        self._latencies.committed(partition, batch.offsets)
        self._stage.on_committed(partition, batch.offsets)

    async def process(self, messages: Sequence[ConsumedMessage]) -> None:
        """Process one batch in order; on return every message of the current assignment is complete in the outbox."""
        taken_up = time.time()
        items = self._expected(messages)
        if not items:
            return
        metrics.BATCH.labels(self._stage.name).observe(len(items))
        for item in items:
            await self._decode(item)
        await self._handle([item for item in items if item.result is None and not self._is_duplicate(item)])
        for item in items:
            raw = item.raw
            if self._outbox.complete(raw.partition, item.generation, raw.topic, raw.offset, self._records(item)):
                self._latencies.completed(raw.topic, raw.partition, raw.offset, taken_up, item.event)
                metrics.RECORDS_IN.labels(self._stage.name, raw.topic).inc()
        await self._flush_if_due(items)

    def _complete_later(self, raw: RawRecord, event: EventT, result: Result, state: Sequence[StateChange]) -> bool:
        generation = self._outbox.generation(raw.partition)
        if generation is None:
            return False
        item = _Item(raw, generation, sha256_hex(raw.value), self._states[raw.partition], event, result)
        changes = list(state)
        if result.problem is not None and self._stage.deduplicates:
            # The mark is in the log since the input was completed; redriven, it must not be taken for a duplicate.
            changes.append(item.state.forget_written(_event_id(event)))
        records = self._records(item)
        records.extend(self.encoder.state_record(change, raw.partition) for change in changes)
        return self._outbox.append(raw.partition, generation, records)

    def _expected(self, messages: Sequence[ConsumedMessage]) -> list[_Item[EventT, StateT]]:
        """The messages of this assignment that are new, in order."""
        items: list[_Item[EventT, StateT]] = []
        met: set[tuple[str, int, int]] = set()
        for message in messages:
            topic, partition, offset = position = (message.topic, message.partition, message.offset)
            generation = message.generation_id
            if position not in met and self._outbox.expects(partition, generation, topic, offset):
                met.add(position)
                raw = raw_record(message)
                items.append(_Item(raw, generation, sha256_hex(raw.value), self._states[partition]))
        return items

    async def _decode(self, item: _Item[EventT, StateT]) -> None:
        decoded = await self._decoder.decode(item.raw)
        if isinstance(decoded, InputProblem):
            item.result = Result(problem=decoded)
        else:
            item.event = decoded

    def _is_duplicate(self, item: _Item[EventT, StateT]) -> bool:
        """Whether the event was processed before; then its result is empty."""
        if not self._stage.deduplicates:
            return False
        event_id = _event_id(item.event)
        if item.state.saw(event_id, _content(item)) is not Seen.NEW:
            metrics.DUPLICATES.labels(self._stage.name).inc()
            item.result = Result()
            return True
        # Marked at once, so that a second copy in the same batch is seen too; the change is written with the records.
        item.state.mark_seen(event_id, _content(item), int(time.time()))
        return False

    async def _handle(self, items: Sequence[_Item[EventT, StateT]]) -> None:
        """Let the stage give each of these items its result."""
        if not items:
            return
        try:
            results = await self._stage.handle_batch([_input(item) for item in items])
        except Exception as error:
            # A batch that fails as a whole may have one bad input: each gets its own chance.
            if len(items) == 1:
                items[0].result = Result(problem=failure(error, items[0].raw))
                return
            for item in items:
                await self._handle([item])
            return
        if len(results) != len(items):
            raise RuntimeError(f"{self._stage.name} made {len(results)} results of {len(items)} records")
        for item, result in zip(items, results, strict=True):
            item.result = result

    def _records(self, item: _Item[EventT, StateT]) -> list[Outgoing]:
        assert item.result is not None
        problem = item.result.problem
        if problem is None:
            try:
                return self.encoder.records(item.raw, item.hash, item.result) + self._seen_record(item, item.result)
            except Exception as error:
                problem = failure(error, item.raw)
        return self._quarantined(item, problem)

    def _seen_record(self, item: _Item[EventT, StateT], result: Result) -> list[Outgoing]:
        if not self._stage.deduplicates or not (result.outputs or result.notes or result.state):
            return []
        now_s = int(time.time())
        changes = [item.state.mark_seen(_event_id(item.event), _content(item), now_s), *item.state.drop_outlived(now_s)]
        return [self.encoder.state_record(change, item.raw.partition) for change in changes]

    def _quarantined(self, item: _Item[EventT, StateT], problem: InputProblem) -> list[Outgoing]:
        """The dead letter, its audit entry, and what asks a person to look. If even this fails, the process ends."""
        raw = replace(item.raw, reader=further_reader(item.raw.topic, self._stage.name))
        metrics.DEAD_LETTERS.labels(self._stage.name, problem.reason).inc()
        logger.warning("%s[%s]@%s to dead letters: %s", raw.topic, raw.partition, raw.offset, problem.reason)
        if self._stage.deduplicates and item.event is not None:
            # It was not processed: redriven, it must not be taken for a duplicate.
            item.state.forget(_event_id(item.event))
        request = self._stage.on_problem(raw, item.event, problem)
        note = AuditNote(
            event_id=event_id_of(raw),
            case_id=case_id_of(raw),
            topic=DEAD_LETTERS,
            outcome=f"dead_letter:{problem.reason}",
            stage=PipelineStage.QUARANTINE,
            output_hash=item.hash,
            parent_hash=item.hash,
            attributes={
                "stage": self._stage.name,
                "topic": raw.topic,
                "partition": str(raw.partition),
                "offset": str(raw.offset),
                **({READER: raw.reader} if raw.reader else {}),
            },
        )
        result = Result(outputs=request.outputs, notes=(*request.notes, note), state=request.state)
        return [dead_letter(raw, self._stage.name, problem), *self.encoder.records(raw, item.hash, result)]

    async def _flush_if_due(self, items: Sequence[_Item[EventT, StateT]]) -> None:
        if self._outbox.waiting() >= OUTBOX_LIMIT:
            await self._flush()
        elif any(item.event is None or _is_urgent(item.event) for item in items):
            # Not awaited: the next batch may begin while this one's transaction is on its way.
            flushing = asyncio.ensure_future(self._flush())
            self._flushing.add(flushing)
            flushing.add_done_callback(self._flushing.discard)


def _input(item: _Item[EventT, StateT]) -> Input[EventT, StateT]:
    assert item.event is not None
    return Input(raw=item.raw, event=item.event, hash=item.hash, state=item.state.own)


def _event_id(event: Record | None) -> UUID:
    # A stage that leaves out duplicates reads only events that have an id.
    return cast(CaseRecord, event).event_id


def _content(item: _Item[EventT, StateT]) -> bytes:
    """What an event's mark keeps of its content: the beginning of its record's hash."""
    return bytes.fromhex(item.hash[: 2 * CONTENT_BYTES])


def _is_urgent(event: Record) -> bool:
    # Acknowledgements and ticks carry no lane; both stop or raise an alarm, so they do not wait either.
    return getattr(event, "lane", Lane.EMERGENCY) is Lane.EMERGENCY
