"""A small stage that counts the events of each case, exactly: for tests of the runtime, with or without a broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from uuid import UUID

from schemas import ids
from schemas.envelope.raw import RawRecord
from schemas.events import AuditEntry, CaseEvent, ImageReference, Lane, PatientContext, PipelineStage
from streams.runtime.records import Input, InputProblem, Output, Result
from streams.runtime.stage import Stage
from streams.runtime.state import own_change

IN, IN_TOO, OUT, STATE = "counting.in", "counting.in-too", "counting.out", "vigia.counting.state"
TOPICS = ((IN, CaseEvent), (IN_TOO, CaseEvent), (OUT, AuditEntry), ("vigia.audit", AuditEntry))


class Counts:
    """Events counted per case."""

    def __init__(self) -> None:
        self.of: dict[bytes, int] = {}

    def restore(self, key: bytes, value: bytes) -> None:
        self.of[key] = int.from_bytes(value, "big")


class CountingStage(Stage[CaseEvent, Counts]):
    """Joins two topics; publishes the running count with every event."""

    name = "counting"
    inputs = (IN, IN_TOO)
    accepts = (CaseEvent,)
    deduplicates = True
    restore_s = 0.0

    def new_state(self, partition: int) -> Counts:
        # Called in the thread that reads the states, as reading itself is.
        time.sleep(self.restore_s)
        return Counts()

    async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
        case, counts = record.event, record.state
        if case.producer == "poison":
            raise RuntimeError("this event is poison")
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

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        return Result()


def case(case_id: UUID, event_id: UUID, producer: str = "test", lane: Lane = Lane.ROUTINE) -> CaseEvent:
    """A case event; only its ids matter here."""
    now = datetime.now(UTC)
    return CaseEvent(
        event_id=event_id,
        case_id=case_id,
        lane=lane,
        captured_at=now,
        published_at=now,
        image=ImageReference(uri="file:///nowhere", sha256="0" * 64, size_bytes=1, media_type="image/jpeg"),
        context=PatientContext(),
        producer=producer,
    )
