"""What an event costs each stage, in figures that do not depend on the machine: calls of functions, bytes written.

`python -m tests.cost` measures, and prints the figures beside those kept in docs/cost.json; `--write` keeps them.
A commit that changes them shows it in its diff; `tests/unit/test_cost.py` fails where one is a tenth worse.

Seconds are for `vigia bench`: here nothing is timed, and no broker runs. A stage's own loop decodes, handles and
encodes 200 events in batches of 40, as on a backlog.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any
from uuid import UUID

from schemas import binary, definitions
from schemas.events import GradingEvent, InferenceEvent, StageClass
from schemas.record import Record
from schemas.serde import Serde
from streams import topics
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Outbox
from streams.runtime.records import Outgoing
from streams.runtime.stage import Stage
from streams.runtime.state import PartitionState
from streams.stages.escalation.stage import EscalationStage
from streams.stages.escalation.ticker import Ticker
from streams.stages.grading.quarantine import Quarantine
from streams.stages.grading.stage import GradingStage
from streams.stages.policy.file import packaged_policy
from tests.unit.schemas.samples import INFERENCE_EVENT

KEPT = Path(__file__).parents[1] / "docs" / "cost.json"
EVENTS, BATCH = 200, 40
NOWHERE = "127.0.0.1:9"
_HEADER = b"\0" + b"\0\0\0\1"
#: Classes in about the shares of a ward: most pictures ask nobody.
_CLASSES = (StageClass.NONE, StageClass.STAGE_1, StageClass.NONE, StageClass.STAGE_2, StageClass.STAGE_4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Per event of a stage's input: calls of Python and of C functions, records and bytes for the broker."""

    calls: float
    records: float
    bytes: float


class LocalCodec:
    """The wire format without a registry: every record is written in the newest schema of its topic."""

    def __init__(self, accepts: type[Record]) -> None:
        self._read = binary.reader(definitions.text(accepts.__avro__.full_name))

    def knows(self, value: bytes, topic: str) -> bool:
        return True

    def decode(self, value: bytes, topic: str) -> Record:
        return self._read(value, len(_HEADER))

    def encode(self, event: Record, topic: str) -> bytes:
        return binary.write(event, _HEADER)


def main(write: bool) -> None:
    """Measure, print, and keep where asked to."""
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = {stage: asdict(cost) for stage, cost in measure().items()}
    for stage, cost in found.items():
        before = kept.get(version, {}).get(stage, {})
        told = ", ".join(f"{value:.1f} {name} (kept: {before.get(name)})" for name, value in cost.items())
        sys.stdout.write(f"{stage}: {told}\n")
    if write:
        KEPT.write_text(json.dumps({**kept, version: found}, indent=2, sort_keys=True) + "\n")


def measure() -> dict[str, Cost]:
    """The cost of each stage that needs no picture, by its name."""
    policy = packaged_policy()
    cases = [_inference(number, _CLASSES[number % len(_CLASSES)]) for number in range(EVENTS)]
    grading, graded = _through(GradingStage(policy, Quarantine(policy)), InferenceEvent, topics.INFERENCES, cases)
    read = LocalCodec(GradingEvent)
    decisions = [read.decode(record.value or b"", "") for record in graded if record.topic == topics.GRADINGS]
    assert len(decisions) == EVENTS
    ticker = Ticker(NOWHERE, Serde(f"http://{NOWHERE}"))
    stage = EscalationStage(policy, Quarantine(policy), LocalCodec(GradingEvent), ticker)
    escalation, raised = _through(stage, GradingEvent, topics.GRADINGS, decisions)
    assert sum(record.topic in topics.ESCALATIONS.values() for record in raised) > EVENTS / 5
    return {"grading": grading, "escalation": escalation}


def _inference(number: int, stage: StageClass) -> InferenceEvent:
    finding = replace(INFERENCE_EVENT.findings[0], stage=stage, confidence=0.9, probabilities={stage.value: 0.9})
    return replace(
        INFERENCE_EVENT,
        event_id=UUID(int=2 * number + 1),
        case_id=UUID(int=2 * number),
        source_event_id=UUID(int=2 * number),
        findings=(finding,),
    )


def _through(
    stage: Stage[Any, Any], accepts: type[Record], topic: str, events: Sequence[Record]
) -> tuple[Cost, list[Outgoing]]:
    """The cost of the events in the stage's own loop, and what they became."""
    codec = LocalCodec(accepts)
    values = [codec.encode(event, topic) for event in events]
    # A first pass with a loop of its own: what is kept for good (readers, texts) is no cost of an event.
    _loop(stage, codec, topic, values[:BATCH])
    calls = _Calls()
    records = _loop(stage, codec, topic, values, calls)
    size = sum(len(record.key or b"") + len(record.value or b"") for record in records)
    made = len(values)
    return Cost(calls=calls.count / made, records=len(records) / made, bytes=size / made), records


def _loop(
    stage: Stage[Any, Any], codec: LocalCodec, topic: str, values: Sequence[bytes], calls: _Calls | None = None
) -> list[Outgoing]:
    outbox = Outbox()
    outbox.assign(0, 1)
    states = {0: PartitionState(stage.new_state(0))}

    async def flush() -> None:
        return

    loop = StageLoop(stage, codec, outbox, states, flush)
    messages = [
        SimpleNamespace(
            topic=topic,
            partition=0,
            offset=offset,
            timestamp=INFERENCE_EVENT.inferred_at.timestamp(),
            key=None,
            value=value,
            headers=[],
            generation_id=1,
        )
        for offset, value in enumerate(values)
    ]

    async def work() -> None:
        stage.on_assigned({0: states[0].own})
        with calls or contextlib.nullcontext():
            for start in range(0, len(messages), BATCH):
                await loop.process(messages[start : start + BATCH])

    asyncio.run(work())
    batch = outbox.take(0, 100 * len(values))
    return [] if batch is None else list(batch.records)


class _Calls:
    """Counts calls of Python and of C functions in this thread."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        sys.setprofile(self._count)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self.count += event in ("call", "c_call")


if __name__ == "__main__":
    main("--write" in sys.argv)
