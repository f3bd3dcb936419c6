"""A counting stage whose output is too large for its topic where the case says so, as a worker process of its own.

Run: python -m tests.integration.refusing_stage BOOTSTRAP REGISTRY PREFIX SECONDS_AHEAD
The worker's clock is ahead by so many seconds.
"""

from __future__ import annotations

import logging
import sys
import time
from dataclasses import replace

from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, Lane
from schemas.serde import Serde
from streams.runtime.app import StageApp
from streams.runtime.records import Input, InputProblem, Result
from streams.runtime.worker import leave, serve
from streams.stages.grading.quarantine import Quarantine
from streams.stages.policy.file import load_policy
from tests.counting import TOPICS, CountingStage, Counts

LARGE = "large"
#: What the output topic takes, and what an output has that is larger.
TAKES, TOO_MUCH = 4_000, 60


class RefusingStage(CountingStage):
    """Counts the events of each case; what it says of a case by `LARGE` is refused."""

    def __init__(self, prefix: str) -> None:
        self.name = prefix.rstrip(".")
        self.inputs = (f"{prefix}in",)
        self.out = f"{prefix}out"
        self._quarantine = Quarantine(load_policy(None))

    async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
        result = await super().handle(record)
        (output,) = result.outputs
        event = output.event
        if record.event.producer == LARGE:
            more = {f"more-{at}": "x" * 200 for at in range(TOO_MUCH)}
            event = replace(event, attributes={**event.attributes, **more})  # type: ignore[type-var, attr-defined]
        return replace(result, outputs=(replace(output, topic=self.out, event=event),))

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        return self._quarantine.ask(raw, event, problem, Lane.EMERGENCY)


def main() -> None:
    bootstrap, registry, prefix, ahead = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    serde = Serde(registry)
    serde.warm_up(TOPICS)
    leave(serve(StageApp(RefusingStage(prefix), serde, bootstrap, clock=lambda: time.time() + float(ahead))))


if __name__ == "__main__":
    main()
