"""The inference stage on values: one bad picture or a failing model never turns into somebody's class."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import cv2
import numpy as np
import pytest

from inference.decode import Decoded
from inference.findings import CLASSES, Finding, ModelError
from schemas.canary import canary_proof
from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, GradingEvent, ImageReference, Lane, ModelStatus, PatientContext
from streams import topics
from streams.images.store import ImageStore
from streams.runtime.records import Input, InputProblem, Result
from streams.runtime.stage import NoState
from streams.serving.judge import Judge
from streams.stages.grading.quarantine import Quarantine
from streams.stages.inference.stage import CaseInput, InferenceStage
from streams.stages.policy.file import load_policy

CANARY_KEY = b"c" * 32


class Oracle:
    """A predictor that says what the test wants of the n-th picture it was made for."""

    model_version = "oracle-0000000000"

    def __init__(self, answers: dict[int, Any]) -> None:
        self._answers = answers
        self.batches: list[int] = []

    def warm_up(self) -> None:
        """Nothing to warm."""

    def judge(self, pictures: Sequence[Decoded]) -> list[Finding]:
        self.batches.append(len(pictures))
        answers = [self._answers[int(picture.pixels[0, 0, 0])] for picture in pictures]
        if any(isinstance(answer, ModelError) for answer in answers):
            raise ModelError("NaN")
        return answers


def judged(stage: str = "stage_2") -> Finding:
    shares = dict.fromkeys(CLASSES, 0.05) | {stage: 0.7}
    return Finding(
        stage=stage, confidence=0.7, probabilities=MappingProxyType(shares), model_version=Oracle.model_version
    )


def abstained() -> Finding:
    return Finding(stage=None, confidence=None, abstained="too_dark", model_version=Oracle.model_version)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.store = ImageStore(f"file://{folder}")
        #: By the shade of the picture.
        self.answers: dict[int, Any] = {}
        self.oracle = Oracle(self.answers)

    def case(self, answer: Any, shade: int) -> CaseInput:
        pixels = np.full((64, 64, 3), shade, np.uint8)
        reference = self.store.put(cv2.imencode(".png", pixels)[1].tobytes())
        self.answers[shade] = answer
        return case_input(reference)

    def process(self, inputs: Sequence[CaseInput], load: Any = None) -> list[Result]:
        async def work() -> list[Result]:
            stage = self.stage = InferenceStage(
                Lane.ROUTINE,
                self.store,
                Judge(load or (lambda _: self.oracle)),
                Quarantine(load_policy()),
                canary_key=CANARY_KEY,
            )
            await stage.start()
            results = list(await stage.handle_batch(inputs))
            await stage.stop()
            return results

        return asyncio.run(work())


def case_input(reference: ImageReference) -> CaseInput:
    now = datetime.now(UTC)
    event = CaseEvent(
        event_id=uuid4(),
        case_id=uuid4(),
        lane=Lane.ROUTINE,
        captured_at=now,
        published_at=now,
        image=reference,
        context=PatientContext(),
        producer="test",
    )
    raw = RawRecord(
        topic=topics.CASES_ROUTINE, partition=0, offset=0, timestamp_ms=int(now.timestamp() * 1000), key=None, value=b""
    )
    return Input(raw=raw, event=event, hash="0" * 64, state=NoState())


def inference_of(result: Result) -> Any:
    return result.outputs[0].event


def test_pictures_are_judged_together_and_answered_one_by_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    inputs = [bench.case(judged(stage), shade) for shade, stage in enumerate(("none", "stage_4", "dtpi"))]
    results = bench.process(inputs)
    assert bench.oracle.batches == [3]
    assert [inference_of(result).findings[0].stage for result in results] == ["none", "stage_4", "dtpi"]
    assert [result.notes[0].output_hash for result in results] == [each.hash for each in inputs]


def test_a_picture_that_cannot_be_fetched_spoils_no_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    good = bench.case(judged(), 1)
    missing = case_input(
        ImageReference(uri=f"file://{tmp_path}/{'0' * 64}", sha256="0" * 64, size_bytes=1, media_type="image/png")
    )
    results = bench.process([missing, good])
    assert results[0].problem is not None
    assert results[0].problem.reason == "image_missing"
    assert inference_of(results[1]).model_status is ModelStatus.JUDGED


def test_a_picture_that_cannot_be_read_is_a_problem_named_by_its_code(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    whole = cv2.imencode(".png", np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))[1].tobytes()
    results = bench.process([case_input(bench.store.put(whole[: len(whole) // 2]))])
    assert results[0].problem is not None
    assert results[0].problem.reason == "truncated"


def test_an_abstention_has_no_class(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    event = inference_of(bench.process([bench.case(abstained(), 1)])[0])
    assert event.model_status is ModelStatus.ABSTAINED
    assert event.findings[0].stage is None
    assert event.findings[0].abstained == "too_dark"


def test_a_model_that_fails_on_one_picture_judges_the_others(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    inputs = [bench.case(judged(), 1), bench.case(ModelError("NaN"), 2), bench.case(judged(), 3)]
    statuses = [inference_of(result).model_status for result in bench.process(inputs)]
    assert statuses == [ModelStatus.JUDGED, ModelStatus.FAILED, ModelStatus.JUDGED]


def test_without_a_valid_model_no_case_gets_a_class(tmp_path: Path) -> None:
    def refuse(version: str | None) -> Any:
        raise ModelError("changed after release")

    bench = Bench(tmp_path)
    event = inference_of(bench.process([bench.case(judged(), 1)], load=refuse)[0])
    assert event.model_status is ModelStatus.UNAVAILABLE
    assert event.findings == ()
    assert event.model_version is None


def test_the_same_case_and_model_give_the_same_id(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    case = bench.case(judged(), 1)
    first, second = (inference_of(bench.process([case])[0]) for _ in range(2))
    assert first.event_id == second.event_id


def test_a_synthetic_case_is_believed_of_the_canary_only_and_people_are_asked_about_any_other(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    plain = bench.case(judged("stage_4"), 1)

    def synthetic(proof: str) -> CaseInput:
        return replace(plain, event=replace(plain.event, synthetic=True, producer="canary", proof=proof))

    true = synthetic(canary_proof(CANARY_KEY, plain.event.case_id))
    forged = synthetic(canary_proof(b"d" * 32, plain.event.case_id))
    believed, refused = bench.process([true, forged])
    assert inference_of(believed).synthetic
    assert refused.problem is not None
    assert refused.problem.reason == "invalid_event"
    (asked,) = bench.stage.on_problem(forged.raw, forged.event, refused.problem).outputs
    assert isinstance(asked.event, GradingEvent)
    assert asked.event.synthetic is False, "nobody would have been asked"
    assert asked.event.escalations


@pytest.mark.parametrize(
    ("event", "stamped"),
    [
        ({"captured_at": datetime(2020, 1, 1, tzinfo=UTC)}, {}),
        ({"captured_at": datetime.now(UTC) + timedelta(hours=2)}, {}),
        ({"published_at": datetime.now(UTC) + timedelta(hours=2)}, {}),
        ({}, {"timestamp_ms": 0}),
        ({}, {"timestamp_ms": -(10**14)}),
        ({}, {"timestamp_ms": 1_600_000_000_000}),
    ],
)
def test_a_case_of_an_impossible_time_goes_to_people(
    tmp_path: Path, event: dict[str, Any], stamped: dict[str, Any]
) -> None:
    bench = Bench(tmp_path)
    sound, wrong = bench.case(judged(), 1), bench.case(judged(), 2)
    wrong = replace(wrong, event=replace(wrong.event, **event), raw=replace(wrong.raw, **stamped))
    results = bench.process([wrong, sound])
    assert results[0].problem is not None
    assert results[0].problem.reason == "time_impossible"
    assert results[1].problem is None


@pytest.mark.parametrize("uri", ["file://{folder}/patient=Juana.jpg", "s3://pacs/Juana/1.jpg"])
def test_an_address_that_is_never_read_goes_on_to_nobody(tmp_path: Path, uri: str) -> None:
    bench = Bench(tmp_path)
    bad, good = (
        case_input(bench.store.put(cv2.imencode(".png", np.zeros((64, 64, 3)))[1].tobytes())),
        bench.case(judged(), 1),
    )
    bad = replace(bad, event=replace(bad.event, image=replace(bad.event.image, uri=uri.format(folder=tmp_path))))
    (result, _) = bench.process([bad, good])
    assert result.problem is not None
    assert result.problem.reason == "outside_store"
    asked = bench.stage.on_problem(bad.raw, bad.event, result.problem).outputs[0].event
    assert isinstance(asked, GradingEvent)
    assert (asked.case_id, asked.image) == (bad.event.case_id, None)
    # Whatever else is wrong with it.
    late = bench.stage.on_problem(bad.raw, bad.event, InputProblem(reason="time_impossible", detail="late"))
    assert late.outputs[0].event.image is None  # type: ignore[attr-defined]
    kept = bench.stage.on_problem(good.raw, good.event, InputProblem(reason="truncated", detail="short"))
    assert kept.outputs[0].event.image == good.event.image  # type: ignore[attr-defined]
