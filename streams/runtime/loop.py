"""The stage loop: a batch of Faust events in, completed outbox entries out.

Whatever happens to an input, it leaves here as records in the outbox. Faust acknowledges an event whose agent raised,
so nothing may raise but what shall end the process.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.envelope.audit import sha256_hex
from schemas.envelope.dead_letter import case_id_of, event_id_of
from schemas.envelope.raw import RawRecord
from schemas.errors import InvalidEventError, RegistryUnavailableError, UndecodableError
from schemas.events import Lane, PipelineStage
from streams import metrics
from streams.runtime import dead_letter
from streams.runtime.encoding import ResultEncoder
from streams.runtime.outbox import Batch
from streams.runtime.records import AuditNote, Input, InputProblem, Outgoing, Result
from streams.runtime.retry import Deadline, until_deadline
from streams.runtime.stage import Stage, failure
from streams.topics import DEAD_LETTERS

logger = logging.getLogger(__name__)

#: Completed inputs the outbox may hold before the loop waits for a transaction: a bound on memory when the broker is
#: slow, well above what a commit interval gathers.
OUTBOX_LIMIT = 2_000


@dataclass(slots=True)
class _Flight:
    """An input on its way to a commit, for the latency metrics."""

    offset: int
    taken_up: float
    event: Any


class StageLoop:
    """Runs one stage over the batches of its stream."""

    def __init__(self, app: Any, stage: Stage, serde: Any) -> None:
        self._app = app
        self._stage = stage
        self._serde = serde
        self.encoder = ResultEncoder(serde, stage.state_topic)
        self._flights: dict[tuple[str, int], deque[_Flight]] = {}
        self._flushing: set[asyncio.Task[None]] = set()

    def on_restored(self) -> None:
        """Partitions were assigned anew: what was on its way under the last assignment is read again."""
        self._flights.clear()

    async def process(self, events: Sequence[Any]) -> None:
        """Process one batch in order; on return every input of ours is complete in the outbox."""
        taken_up = time.time()
        fresh = self._expected(events)
        if not fresh:
            return
        metrics.BATCH.labels(self._stage.name).observe(len(fresh))
        decoded = [await self._decode(raw) for raw, _ in fresh]
        results = await self._results(decoded)
        for (raw, generation), record, result in zip(fresh, decoded, results, strict=True):
            event = record.event if isinstance(record, Input) else None
            records = self._records(raw, record, result)
            if self._app.outbox.complete(raw.partition, generation, raw.topic, raw.offset, records):
                flights = self._flights.setdefault((raw.topic, raw.partition), deque())
                flights.append(_Flight(raw.offset, taken_up, event))
                metrics.RECORDS_IN.labels(self._stage.name, raw.topic).inc()
        await self._flush_if_due(decoded)

    def _expected(self, events: Sequence[Any]) -> list[tuple[RawRecord, int]]:
        """The inputs that are ours and new, in order."""
        fresh: list[tuple[RawRecord, int]] = []
        met: set[tuple[str, int, int]] = set()
        for event in events:
            message = event.message
            position = (message.topic, message.partition, message.offset)
            if position not in met and self._app.outbox.expects(
                message.partition, message.generation_id, message.topic, message.offset
            ):
                met.add(position)
                fresh.append((_raw(message), message.generation_id))
        return fresh

    async def _decode(self, raw: RawRecord) -> Input | InputProblem:
        try:
            event = await self._decode_value(raw)
        except UndecodableError as error:
            return InputProblem(reason="undecodable", detail=str(error), system=True)
        except InvalidEventError as error:
            return InputProblem(reason="invalid_event", detail=str(error))
        except RegistryUnavailableError:
            return InputProblem(
                reason="registry_unavailable", detail="the schema registry did not answer in time", system=True
            )
        if not isinstance(event, self._stage.accepts):
            return InputProblem(
                reason="unexpected_event", detail=f"a {type(event).__name__} on this topic", system=True
            )
        return Input(raw=raw, event=event, hash=sha256_hex(raw.value), state=self._app.states.get(raw.partition))

    async def _decode_value(self, raw: RawRecord) -> Any:
        if raw.value is None:
            raise UndecodableError("the record has no value")
        value = raw.value
        if self._serde.knows(value):
            return self._serde.decode(value)
        # A schema id not met before: the registry is asked over HTTP, so not on the event loop.
        registry_up = metrics.REGISTRY_UP.labels(self._stage.name)
        registry_up.set(1)
        try:
            return await until_deadline(
                lambda: asyncio.to_thread(self._serde.decode, value),
                RegistryUnavailableError,
                Deadline.after(self._stage.patience_s),
                stage=self._stage.name,
                dependency="registry",
            )
        except RegistryUnavailableError:
            registry_up.set(0)
            raise

    async def _results(self, decoded: Sequence[Input | InputProblem]) -> list[Result]:
        """One result for each, in order: duplicates give an empty one, problems one that names the problem."""
        results: list[Result | None] = []
        wanted: list[Input] = []
        for record in decoded:
            if isinstance(record, InputProblem):
                results.append(Result(problem=record))
            elif self._stage.deduplicates and self._seen(record):
                metrics.DUPLICATES.labels(self._stage.name).inc()
                results.append(Result())
            else:
                results.append(None)
                wanted.append(record)
        handled = iter(await self._handle_wanted(wanted))
        complete = [next(handled) if result is None else result for result in results]
        if self._stage.deduplicates:
            self._forget_failed(decoded, complete)
        return complete

    async def _handle_wanted(self, wanted: Sequence[Input]) -> Sequence[Result]:
        if not wanted:
            return ()
        try:
            results = await self._stage.handle_batch(wanted)
        except Exception as error:
            # A batch that fails as a whole may have one bad input: each gets its own chance.
            if len(wanted) == 1:
                return [Result(problem=failure(error, wanted[0].raw))]
            return [(await self._handle_wanted([record]))[0] for record in wanted]
        if len(results) != len(wanted):
            raise RuntimeError(f"{self._stage.name} made {len(results)} results of {len(wanted)} records")
        return results

    def _seen(self, record: Input) -> bool:
        if record.state.saw(record.event.event_id):
            return True
        # Marked at once, so that a second copy in the same batch is seen too; the change is written below.
        record.state.mark_seen(record.event.event_id, int(time.time()))
        return False

    def _forget_failed(self, decoded: Sequence[Input | InputProblem], results: Sequence[Result]) -> None:
        # What went to the dead letters was not processed: redriven, it must not be taken for a duplicate.
        for record, result in zip(decoded, results, strict=True):
            if isinstance(record, Input) and result.problem is not None:
                record.state.seen.pop(record.event.event_id.bytes, None)

    def _records(self, raw: RawRecord, record: Input | InputProblem, result: Result) -> list[Outgoing]:
        try:
            if result.problem is None:
                assert isinstance(record, Input)
                return self.encoder.records(record, result) + self._seen_record(record, result)
        except Exception as error:
            result = Result(problem=failure(error, raw))
        assert result.problem is not None
        return self._quarantined(raw, record, result.problem)

    def _seen_record(self, record: Input, result: Result) -> list[Outgoing]:
        if not self._stage.deduplicates or not (result.outputs or result.notes):
            return []
        change = record.state.mark_seen(record.event.event_id, int(time.time()))
        return [self.encoder.state_record(change, record.raw.partition)]

    def _quarantined(self, raw: RawRecord, record: Input | InputProblem, problem: InputProblem) -> list[Outgoing]:
        """The dead letter, its audit entry, and what asks a person to look. If even this fails, the process ends."""
        metrics.DEAD_LETTERS.labels(self._stage.name, problem.reason).inc()
        logger.warning("%s[%s]@%s to dead letters: %s", raw.topic, raw.partition, raw.offset, problem.reason)
        event = record.event if isinstance(record, Input) else None
        state = self._app.states.get(raw.partition)
        hashed = sha256_hex(raw.value)
        source = Input(raw=raw, event=event, hash=hashed, state=state)
        asked = self._stage.on_problem(raw, event, problem, state)
        note = AuditNote(
            event_id=event_id_of(raw),
            case_id=case_id_of(raw),
            topic=DEAD_LETTERS,
            outcome=f"dead_letter:{problem.reason}",
            stage=PipelineStage.QUARANTINE,
            output_hash=hashed,
            parent_hash=hashed,
            attributes={
                "stage": self._stage.name,
                "topic": raw.topic,
                "partition": str(raw.partition),
                "offset": str(raw.offset),
            },
        )
        asked = Result(outputs=asked.outputs, notes=(*asked.notes, note), state=asked.state)
        return [dead_letter.dead_letter(raw, self._stage.name, problem), *self.encoder.records(source, asked)]

    async def _flush_if_due(self, decoded: Sequence[Input | InputProblem]) -> None:
        if self._app.outbox.waiting() >= OUTBOX_LIMIT:
            await self._app.flush_outbox()
        elif any(isinstance(record, InputProblem) or _is_urgent(record.event) for record in decoded):
            # Not awaited: the next batch may begin while this one's transaction is on its way.
            task = asyncio.ensure_future(self._app.flush_outbox())
            self._flushing.add(task)
            task.add_done_callback(self._flushing.discard)

    def on_committed(self, partition: int, batch: Batch) -> None:
        """Latencies of what a transaction has carried out."""
        now = time.time()
        stage = self._stage.name
        for sent in batch.records:
            metrics.RECORDS_OUT.labels(stage, sent.topic).inc()
        for topic, offset in batch.offsets.items():
            flights = self._flights.get((topic, partition))
            while flights and flights[0].offset < offset:
                flight = flights.popleft()
                metrics.STAGE.labels(stage).observe(now - flight.taken_up)
                published = getattr(flight.event, "published_at", None)
                if published is not None:
                    lane = flight.event.lane.value
                    metrics.SINCE_PUBLISHED.labels(stage, lane).observe(max(0.0, now - published.timestamp()))
                    metrics.SINCE_CAPTURED.labels(stage, lane).observe(
                        max(0.0, now - flight.event.captured_at.timestamp())
                    )


def _is_urgent(event: Any) -> bool:
    # Acknowledgements and ticks carry no lane; both stop or raise an alarm, so they do not wait either.
    return getattr(event, "lane", Lane.EMERGENCY) is Lane.EMERGENCY


def _raw(message: Any) -> RawRecord:
    return RawRecord(
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        timestamp_ms=int((message.timestamp or 0) * 1000),
        key=message.key,
        value=message.value,
        headers=_headers(message.headers),
    )


def _headers(headers: Any) -> tuple[tuple[str, bytes], ...]:
    # Faust gives a list of pairs, a mapping, or nothing.
    if not headers:
        return ()
    pairs = headers.items() if hasattr(headers, "items") else headers
    return tuple((name, value) for name, value in pairs)
