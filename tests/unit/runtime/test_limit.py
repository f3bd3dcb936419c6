"""A record that is waited for too long is given up; those before, behind and beside it are handled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import pytest

from schemas.envelope.dead_letter import PREFIX
from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, PipelineStage
from streams.runtime.records import Input, InputProblem, Output, Result
from streams.runtime.stage import NoState, StatelessStage
from tests.counting import OUT, CountingStage, Counts, case
from tests.unit.runtime.test_loop import Bench, outputs

HANGS = "hangs"


class Hanging(CountingStage):
    """Handles one by one; some records are never answered."""

    patience_s = 0.1

    async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
        if record.event.producer == HANGS:
            await asyncio.Event().wait()
        return await super().handle(record)


class HangingTogether(StatelessStage[CaseEvent]):
    """Handles a batch as one, as the image stage does: it hangs with any of its records."""

    name = "hanging"
    inputs = ("counting.in",)
    accepts = (CaseEvent,)
    patience_s = 0.1

    async def handle(self, record: Input[CaseEvent, NoState]) -> Result:
        return (await self.handle_batch([record]))[0]

    async def handle_batch(self, records: Sequence[Input[CaseEvent, NoState]]) -> Sequence[Result]:
        if any(record.event.producer == HANGS for record in records):
            await asyncio.Event().wait()
        seen = [Output(topic=OUT, event=record.event, outcome="s", stage=PipelineStage.INGEST) for record in records]
        return [Result(outputs=(output,)) for output in seen]

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        return Result()


@pytest.mark.parametrize("stage", [Hanging, HangingTogether])
def test_a_record_that_is_never_answered_is_laid_aside_and_no_other(stage: Any) -> None:
    """At 3f24925 the process ended, four times over, before it was."""
    bench = Bench(stage())
    events = [case(uuid4(), uuid4(), producer) for producer in ("test", HANGS, "test", HANGS, "test")]
    records, offsets = bench.process([bench.message(bench.serde.add(event)) for event in events])
    assert len(outputs(records)) == 3
    letters = [record for record in records if record.topic == "vigia.dead-letters"]
    assert [dict(letter.headers)[PREFIX + "reason"] for letter in letters] == [b"handling_timeout"] * 2
    assert offsets == {"counting.in": 5}


def test_a_worker_that_is_told_to_end_while_a_record_hangs_ends() -> None:
    async def work() -> None:
        bench = Bench(Hanging())
        hanging = bench.message(bench.serde.add(case(uuid4(), uuid4(), HANGS)))
        working = asyncio.ensure_future(bench.loop.process([hanging]))
        await asyncio.sleep(0)
        working.cancel()
        with pytest.raises(asyncio.CancelledError):
            await working
        assert bench.outbox.take(0, 1_000) is None

    asyncio.run(work())
