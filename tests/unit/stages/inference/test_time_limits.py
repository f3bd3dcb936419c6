"""What does not come back holds its case for the lane's patience, and no longer; the process is told of the thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.decode import Decoded
from inference.findings import Finding
from schemas.events import ImageReference, Lane, ModelStatus
from streams.images.store import ImageStore
from streams.runtime.records import Result
from streams.serving.judge import Judge
from streams.stages.grading.quarantine import Quarantine
from streams.stages.inference.stage import InferenceStage
from streams.stages.policy.file import load_policy
from tests.unit.stages.inference.test_stage import Bench, CaseInput, inference_of, judged

#: What a test waits for something that must come.
PATIENCE_S = 60.0


class HungStore(ImageStore):
    """A store on a disk that is gone: what is named does not come back until `let_go`."""

    def __init__(self, url: str, hung: set[str]) -> None:
        super().__init__(url)
        self.hung, self.let_go = hung, threading.Event()

    def fetch(self, reference: ImageReference) -> bytes:
        if reference.sha256 in self.hung:
            self.let_go.wait(PATIENCE_S)
        return super().fetch(reference)


class HungModel:
    """A model that does not come back the first time."""

    model_version = "hung"

    def __init__(self, inner: Bench) -> None:
        self.inner, self.calls, self.let_go = inner.oracle, 0, threading.Event()

    def warm_up(self) -> None:
        """Nothing to warm."""

    def judge(self, pictures: Sequence[Decoded]) -> Sequence[Finding]:
        self.calls += 1
        if self.calls == 1:
            self.let_go.wait(PATIENCE_S)
        return self.inner.judge(pictures)


def work(stage: InferenceStage, batches: Sequence[Sequence[CaseInput]]) -> tuple[list[list[Result]], float]:
    """The results of the batches in turn, and how long the oldest thread had been away after them."""

    async def go() -> tuple[list[list[Result]], float]:
        await stage.start()
        results = [list(await stage.handle_batch(batch)) for batch in batches]
        away = stage.longest_s()
        await stage.stop()
        return results, away

    return asyncio.run(go())


def stage_of(store: ImageStore, judge: Judge, patience_s: float) -> InferenceStage:
    stage = InferenceStage(Lane.EMERGENCY, store, judge, Quarantine(load_policy()), heat_maps=False)
    stage.patience_s = patience_s
    return stage


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_read_that_never_returns_goes_to_people_and_its_neighbours_are_judged(bench: Bench, tmp_path: Path) -> None:
    """At 73f85d3 the deadline was looked at between two tries only: a read of 20 s held an emergency for 20 s."""
    hung, sound = bench.case(judged("none"), 1), bench.case(judged("stage_4"), 2)
    store = HungStore(f"file://{tmp_path}", {hung.event.image.sha256})
    try:
        ((first, second),), away = work(stage_of(store, Judge(lambda _: bench.oracle), 8.0), [[hung, sound]])
    finally:
        store.let_go.set()
    assert first.problem is not None
    assert inference_of(second).model_status is ModelStatus.JUDGED
    assert away >= 8.0


def test_a_model_that_never_returns_has_failed_and_the_next_batch_does_not_stand_behind_it(
    bench: Bench, tmp_path: Path
) -> None:
    model = HungModel(bench)
    inputs = [bench.case(judged("none"), 1), bench.case(judged("stage_4"), 2)]
    try:
        ((first,), (second,)), away = work(
            stage_of(bench.store, Judge(lambda _: model), 4.0), [[one] for one in inputs]
        )
    finally:
        model.let_go.set()
    assert inference_of(first).model_status is ModelStatus.FAILED
    assert inference_of(second).model_status is ModelStatus.JUDGED
    assert away >= 4.0
