"""A small stage on the real runtime, as a worker process of its own: counts the events of each case, exactly.

Run: python -m tests.chaos.counting_stage BOOTSTRAP REGISTRY [SECONDS]
Every partition's state takes SECONDS to read.
"""

from __future__ import annotations

import logging
import sys
import time
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from schemas import ids
from schemas.envelope.raw import RawRecord
from schemas.events import AuditEntry, CaseEvent, PipelineStage
from schemas.serde import Serde
from streams.runtime.app import StageApp
from streams.runtime.records import Input, InputProblem, Output, Result
from streams.runtime.stage import Stage
from streams.runtime.state import own_change
from streams.runtime.worker import leave, serve

IN, IN_TOO, OUT, STATE = "counting.in", "counting.in-too", "counting.out", "vigia.counting.state"
TOPICS = ((IN, CaseEvent), (IN_TOO, CaseEvent), (OUT, AuditEntry), ("vigia.audit", AuditEntry))


class Counts:
    """Events counted per case."""

    def __init__(self) -> None:
        self.of: dict[bytes, int] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        self.of[key] = int.from_bytes(value, "big")


class CountingStage(Stage):
    """Joins two topics; publishes the running count with every event.

    As a process it does not look for duplicates: that would hide a transaction that is not atomic.
    """

    name = "counting"
    inputs = (IN, IN_TOO)
    accepts = (CaseEvent,)
    deduplicates = True
    restore_s = 0.0

    def new_state(self, partition: int) -> Counts:
        # Called in the thread that reads the states, as reading itself is.
        time.sleep(self.restore_s)
        return Counts()

    async def handle(self, record: Input) -> Result:
        case: CaseEvent = record.event
        if case.producer == "poison":
            raise RuntimeError("this event is poison")
        counts: Counts = record.state.own
        count = counts.of.get(case.case_id.bytes, 0) + 1
        counts.of[case.case_id.bytes] = count
        event = AuditEntry(
            event_id=ids.derived_id(case.event_id, "counting", "1"),
            case_id=case.case_id,
            stage=PipelineStage.INFERENCE,
            decided_at=datetime.now(UTC),
            topic=OUT,
            outcome="counted",
            source_event_id=case.event_id,
            output_hash=record.hash,
            attributes={"count": str(count), "producer": case.producer},
        )
        return Result(
            outputs=[Output(topic=OUT, event=event, outcome="counted", stage=PipelineStage.INFERENCE)],
            state=[own_change(case.case_id.bytes, count.to_bytes(8, "big"))],
        )

    def on_problem(self, raw: RawRecord, event: Any | None, problem: InputProblem, state: Any) -> Result:
        return Result()


def case(case_id: UUID, event_id: UUID, producer: str = "test") -> CaseEvent:
    """A case event; only its ids matter here."""
    from schemas.events import ImageReference, Lane, PatientContext

    now = datetime.now(UTC)
    return CaseEvent(
        event_id=event_id,
        case_id=case_id,
        lane=Lane.ROUTINE,
        captured_at=now,
        published_at=now,
        image=ImageReference(uri="file:///nowhere", sha256="0" * 64, size_bytes=1, media_type="image/jpeg"),
        context=PatientContext(),
        producer=producer,
    )


def main() -> None:
    bootstrap, registry, *seconds = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    serde = Serde(registry)
    serde.warm_up(TOPICS)
    CountingStage.deduplicates = False
    CountingStage.restore_s = float(*seconds)
    leave(serve(StageApp(CountingStage(), serde, bootstrap)))


if __name__ == "__main__":
    main()
