"""From a raw record to the records that answer it: decoded, handled by the stage, or laid aside.

Nothing here raises for a reason that lies in a record.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, cast
from uuid import UUID

from schemas.envelope.audit import sha256_hex
from schemas.envelope.raw import RawRecord
from schemas.events import CaseRecord
from schemas.events.content import content_hash
from schemas.record import Record
from streams import metrics
from streams.runtime.dead_letter import needs_pointer
from streams.runtime.decoding import Codec, InputDecoder
from streams.runtime.encoding import ResultEncoder
from streams.runtime.limit import OverdueError, within_limit
from streams.runtime.quarantine import ValueStore, quarantined, quarantined_pointer, stored
from streams.runtime.records import EventT, Input, InputProblem, Outgoing, Result, StateT
from streams.runtime.retry import Deadline
from streams.runtime.seen import CONTENT_BYTES, Seen
from streams.runtime.stage import Stage, StatelessStage, failure, overdue
from streams.runtime.state import PartitionState

#: Reason of the dead letter of an event whose id was used before, for something else.
OTHER_CONTENT = "other_content"
_REUSED = "an event with this id was processed before, with other content"


@dataclass(slots=True)
class Item(Generic[EventT, StateT]):
    """One consumed record on its way through the loop: first it gets an event, then a result.

    It holds the state of its assignment: a rebalance while the stage works must not slip another one in.
    """

    raw: RawRecord
    generation: int
    state: PartitionState[StateT]
    #: None where it could not be decoded.
    event: EventT | None = None
    result: Result | None = None
    #: Where the bytes are kept that a dead letter cannot hold.
    stored: str | None = None
    #: Say only the least about it: that was refused as well.
    least: bool = False


@dataclass(frozen=True, slots=True)
class Condemned:
    """Why an input is to go to the dead letters whatever it holds, and whether only the least is said about it."""

    problem: InputProblem
    least: bool


class Processor(Generic[EventT, StateT]):
    """What one stage makes of its inputs. Holds no state but which inputs are not to be tried."""

    def __init__(
        self,
        stage: Stage[EventT, StateT],
        codec: Codec,
        store: ValueStore | None = None,
        moved: Callable[[], None] = lambda: None,
    ) -> None:
        """`store` keeps values that no dead letter can hold; `moved` is called when a part of a batch is done, or was
        given up."""
        self._stage = stage
        self._store = store
        self._moved = moved
        self._decoder = InputDecoder(stage, codec)
        self.encoder = ResultEncoder(codec, stage.state_topic)
        #: By topic, partition and offset.
        self.condemned: dict[tuple[str, int, int], Condemned] = {}

    async def process(self, items: Sequence[Item[EventT, StateT]]) -> None:
        """Give each of these a result."""
        deadline = self._decoder.deadline()
        for item in items:
            await self._decode(item, deadline)
        await self._handle([item for item in items if item.result is None and not self._is_duplicate(item)])

    async def _decode(self, item: Item[EventT, StateT], deadline: Deadline) -> None:
        raw = item.raw
        condemned = self.condemned.get((raw.topic, raw.partition, raw.offset))
        if needs_pointer(raw) or condemned is not None:
            item.stored = await stored(self._store, raw)
        if needs_pointer(raw):
            # No event of ours is as large, so it is not even tried.
            detail = f"a value of {raw.value_size if raw.value_size is not None else 'unknown'} bytes"
            item.result = Result(problem=InputProblem(reason="record_too_large", detail=detail))
        elif condemned is None or not condemned.least:
            decoded = await self._decoder.decode(raw, deadline)
            if isinstance(decoded, InputProblem):
                item.result = Result(problem=decoded)
            else:
                item.event = decoded
        if condemned is not None:
            item.least = condemned.least
            item.result = Result(problem=condemned.problem)

    def _is_duplicate(self, item: Item[EventT, StateT]) -> bool:
        """Whether its event id was met before, so that the stage is not asked; then it has its result."""
        if not self._stage.deduplicates:
            return False
        event_id = event_id_of_input(item.event)
        seen = item.state.saw(event_id, _content(item))
        if seen is Seen.OTHER:
            # Not a repetition: another event, maybe another patient's, under an id that was used before.
            item.result = Result(problem=InputProblem(reason=OTHER_CONTENT, detail=_REUSED))
            return True
        if seen is Seen.SAME:
            metrics.DUPLICATES.labels(self._stage.name).inc()
            item.result = Result()
            return True
        # Marked at once, so that a second copy in the same batch is seen too; the change is written with the records.
        item.state.mark_seen(event_id, _content(item), int(time.time()))
        return False

    async def _handle(self, items: Sequence[Item[EventT, StateT]]) -> None:
        """Let the stage give each of these items its result."""
        if not items:
            return
        try:
            results = await within_limit(self._stage, [_input(item) for item in items], self._moved)
        except OverdueError:
            if len(items) == 1:
                items[0].result = Result(problem=overdue(items[0].raw, self._stage.limit_s))
                return
            await self._one_by_one(items)
            return
        except Exception as error:
            # A batch that fails as a whole may have one bad input: each gets its own chance.
            if len(items) == 1:
                items[0].result = Result(problem=failure(error, items[0].raw))
                return
            await self._one_by_one(items)
            return
        if len(results) != len(items):
            raise RuntimeError(f"{self._stage.name} made {len(results)} results of {len(items)} records")
        for item, result in zip(items, results, strict=True):
            item.result = result

    async def _one_by_one(self, items: Sequence[Item[EventT, StateT]]) -> None:
        if isinstance(self._stage, StatelessStage):
            # Side by side: whoever hangs must hold up none of the others.
            await asyncio.gather(*(self._handle([item]) for item in items))
            return
        for item in items:
            await self._handle([item])

    def records(self, item: Item[EventT, StateT]) -> list[Outgoing]:
        """What an item with a result leaves as."""
        assert item.result is not None
        problem = item.result.problem
        if problem is None:
            try:
                return self.encoder.records(item.raw, item.raw.value_hash, item.result) + self._seen_record(
                    item, item.result
                )
            except Exception as error:
                problem = failure(error, item.raw)
        return self._quarantined(item, problem)

    def _seen_record(self, item: Item[EventT, StateT], result: Result) -> list[Outgoing]:
        if not self._stage.deduplicates or not (result.outputs or result.notes or result.state):
            return []
        now_s = int(time.time())
        mark = item.state.mark_seen(event_id_of_input(item.event), _content(item), now_s)
        changes = [mark, *item.state.drop_outlived(now_s)]
        return [self.encoder.state_record(change, item.raw.partition) for change in changes]

    def _quarantined(self, item: Item[EventT, StateT], problem: InputProblem) -> list[Outgoing]:
        if self._stage.deduplicates and item.event is not None and problem.reason != OTHER_CONTENT:
            # It was not processed: redriven, it must not be taken for a duplicate.
            item.state.forget(event_id_of_input(item.event))
        if item.least:
            return quarantined_pointer(self._stage, self.encoder, item.raw, problem, stored=item.stored)
        return quarantined(self._stage, self.encoder, item.raw, item.event, problem, stored=item.stored)


def _input(item: Item[EventT, StateT]) -> Input[EventT, StateT]:
    assert item.event is not None
    return Input(raw=item.raw, event=item.event, hash=sha256_hex(item.raw.value), state=item.state.own)


def event_id_of_input(event: Record | None) -> UUID:
    """Its event id. A stage that leaves out duplicates reads only events that have one."""
    return cast(CaseRecord, event).event_id


def _content(item: Item[EventT, StateT]) -> bytes:
    """What an event's mark keeps of its content."""
    assert item.event is not None
    return content_hash(item.event)[:CONTENT_BYTES]
