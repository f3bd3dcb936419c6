"""A counting stage that one record kills, or freezes, as a worker process of its own.

Run: python -m tests.integration.deadly_stage BOOTSTRAP REGISTRY PREFIX [--trial]
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import sys
from dataclasses import replace

from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, Lane
from schemas.serde import Serde
from streams.runtime.app import StageApp
from streams.runtime.records import Input, InputProblem, Result
from streams.runtime.trial_child import serve_trials
from streams.runtime.worker import leave, serve
from streams.stages.grading.quarantine import Quarantine
from streams.stages.policy.file import load_policy
from tests.counting import TOPICS, CountingStage, Counts

ABORTS, HOLDS_THE_LOCK, NEVER_ENDS = "aborts", "holds-the-lock", "never-ends"
#: What does so in a worker only, and is sound wherever it is tried.
ABORTS_HERE, HOLDS_THE_LOCK_HERE = "aborts-here", "holds-the-lock-here"


class DeadlyStage(CountingStage):
    """Counts the events of each case; some producers' events are deadly."""

    patience_s = 1.0

    def __init__(self, prefix: str, *, trying: bool) -> None:
        self._trying = trying
        self.name = prefix.rstrip(".")
        self.inputs = (f"{prefix}in",)
        self.out = f"{prefix}out"
        self._quarantine = Quarantine(load_policy(None))

    async def handle(self, record: Input[CaseEvent, Counts]) -> Result:
        how = record.event.producer
        if not self._trying:
            how = how.removesuffix("-here")
        match how:
            case "aborts":
                os.abort()
            case "holds-the-lock":
                # Called without letting the interpreter's lock go: a loop in a C library. A signal ends a sleep.
                while True:
                    ctypes.PyDLL(None).sleep(100_000)
            case "never-ends":
                await asyncio.Event().wait()
        result = await super().handle(record)
        (output,) = result.outputs
        return replace(result, outputs=(replace(output, topic=self.out),))

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        return self._quarantine.ask(raw, event, problem, Lane.EMERGENCY)


def main() -> None:
    bootstrap, registry, prefix, *more = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    serde = Serde(registry)
    serde.warm_up(TOPICS)
    stage = DeadlyStage(prefix, trying=bool(more))
    if more:
        leave(serve_trials(stage, serde, bootstrap))
    command = (sys.executable, "-m", "tests.integration.deadly_stage", bootstrap, registry, prefix, "--trial")
    leave(serve(StageApp(stage, serde, bootstrap, trial=command)))


if __name__ == "__main__":
    main()
