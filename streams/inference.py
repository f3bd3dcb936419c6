"""Inference stage: fetch each case's picture, let the model judge the batch, publish what it found.

One process a lane, so that no backlog of routine pictures can stand in front of an emergency.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, ClassVar

from mode import get_logger

from inference.findings import Finding as ModelFinding
from inference.findings import ImageProblem, ModelError
from inference.predictor import Predictor
from schemas import ids
from schemas.events import CaseEvent, Finding, InferenceEvent, Lane, ModelStatus, PipelineStage, Region, StageClass
from streams import metrics, topics
from streams.image_errors import ImageError, StoreUnavailableError
from streams.images import ImageStore
from streams.quarantine import Quarantine
from streams.runtime.encoding import freeze
from streams.runtime.records import Input, Noted, Output, Problem, RawInput, Result
from streams.runtime.retry import Deadline, until_deadline
from streams.runtime.stage import Stage

logger = get_logger(__name__)

#: Pictures fetched at the same time. Fetching waits on disk or network, not on the processor.
FETCHERS = 8
#: An emergency waits at most this long for an image store that does not answer, a routine case longer; then a person
#: looks instead of the model.
PATIENCE_S = {Lane.EMERGENCY: 5.0, Lane.ROUTINE: 30.0}
#: A lone emergency must not wait for company; routine pictures are cheaper by the batch.
MAX_BATCH = {Lane.EMERGENCY: 8, Lane.ROUTINE: 32}
WITHIN_S = {Lane.EMERGENCY: 0.01, Lane.ROUTINE: 0.05}

LoadPredictor = Callable[[], Predictor]


class InferenceStage(Stage):
    """Case events of one lane to inference events. A picture that cannot be judged is a problem, never a class."""

    pipeline_stage: ClassVar[PipelineStage] = PipelineStage.INFERENCE
    accepts = (CaseEvent,)
    deduplicates = True

    def __init__(self, lane: Lane, store: ImageStore, load_predictor: LoadPredictor, quarantine: Quarantine) -> None:
        self.lane = lane
        self.name = f"inference-{lane.value}"
        self.inputs = (topics.CASES_EMERGENCY if lane is Lane.EMERGENCY else topics.CASES_ROUTINE,)
        self.patience_s = PATIENCE_S[lane]
        self.max_batch = MAX_BATCH[lane]
        self.within_s = WITHIN_S[lane]
        self._store = store
        self._load_predictor = load_predictor
        self._quarantine = quarantine
        self._predictor: Predictor | None = None
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")
        # One thread: the model uses its own, and two batches at once would only slow each other down.
        self._judge_thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def start(self) -> None:
        """Load the model and warm it up. Without a valid one the stage still runs: its cases go to people."""
        try:
            self._predictor = await self._in_model_thread(self._load_warm)
            metrics.MODEL.labels(self._predictor.model_version).set(1)
        except ModelError as error:
            logger.error("no valid model, every case goes to a person: %s", error)

    async def stop(self) -> None:
        """Let the threads end."""
        self._fetchers.shutdown(wait=False)
        self._judge_thread.shutdown(wait=False)

    async def handle(self, given: Input) -> Result:
        """The result for one case."""
        return (await self.process([given]))[0]

    async def process(self, inputs: Sequence[Input]) -> Sequence[Result]:
        """Results for a batch of cases: fetched side by side, judged together."""
        taken_up_at = datetime.now(UTC)
        started = time.perf_counter()
        deadline = Deadline.after(self.patience_s)
        fetched = await asyncio.gather(*(self._fetch(given.event, deadline) for given in inputs))
        metrics.PHASE.labels("fetch").observe(time.perf_counter() - started)
        pictures = [picture for picture in fetched if isinstance(picture, bytes)]
        judged = iter(await self._judge(pictures))
        results = []
        for given, picture in zip(inputs, fetched, strict=True):
            verdict = next(judged) if isinstance(picture, bytes) else picture
            results.append(self._result(given, verdict, taken_up_at))
        return results

    async def _fetch(self, case: CaseEvent, deadline: Deadline) -> bytes | Problem:
        loop = asyncio.get_running_loop()
        try:
            return await until_deadline(
                lambda: loop.run_in_executor(self._fetchers, self._store.fetch, case.image),
                StoreUnavailableError,
                deadline,
                stage=self.name,
                dependency="image_store",
            )
        except ImageError as error:
            return Problem(reason=error.code, detail=str(error))
        except StoreUnavailableError as error:
            return Problem(reason=error.code, detail="the image store did not answer in time", system=True)

    async def _judge(self, pictures: Sequence[bytes]) -> Sequence[ModelFinding | ImageProblem | ModelStatus]:
        """One verdict a picture; a ModelStatus where the model gave none."""
        if self._predictor is None:
            return [ModelStatus.UNAVAILABLE] * len(pictures)
        if not pictures:
            return []
        started = time.perf_counter()
        try:
            judged: Sequence[ModelFinding | ImageProblem] = await self._in_model_thread(
                self._predictor.predict, pictures
            )
            return judged
        except ModelError as error:
            # One picture may have upset the model: each gets a run of its own before it is given to people.
            if len(pictures) == 1:
                logger.error("the model failed: %s", error)
                return [ModelStatus.FAILED]
            return [(await self._judge([picture]))[0] for picture in pictures]
        finally:
            metrics.PHASE.labels("model").observe(time.perf_counter() - started)

    def _result(self, given: Input, verdict: Any, taken_up_at: datetime) -> Result:
        if isinstance(verdict, Problem):
            return Result(problem=verdict)
        if isinstance(verdict, ImageProblem):
            return Result(problem=Problem(reason=verdict.code.value, detail=str(verdict)))
        case: CaseEvent = given.event
        event = self._event(case, verdict, taken_up_at)
        received = Noted(
            event_id=case.event_id,
            case_id=case.case_id,
            topic=given.raw.topic,
            outcome=f"received:{self.lane.value}",
            stage=PipelineStage.INGEST,
            output_hash=given.hash,
            attributes=freeze({"producer": case.producer, "synthetic": case.synthetic or None}),
        )
        judged = Output(
            topic=topics.INFERENCES,
            event=event,
            outcome=_outcome(event),
            stage=PipelineStage.INFERENCE,
            attributes=freeze({"confidence": event.findings[0].confidence if event.findings else None}),
        )
        return Result(outputs=(judged,), noted=(received,))

    def _event(self, case: CaseEvent, verdict: ModelFinding | ModelStatus, taken_up_at: datetime) -> InferenceEvent:
        version = self._predictor.model_version if self._predictor is not None else None
        findings: tuple[Finding, ...] = ()
        if isinstance(verdict, ModelStatus):
            status = verdict
        else:
            status = ModelStatus.ABSTAINED if verdict.stage is None else ModelStatus.JUDGED
            findings = (_finding(verdict),)
            _observe(verdict)
        return InferenceEvent(
            event_id=ids.derived_id(case.event_id, "inference", version or "none"),
            case_id=case.case_id,
            source_event_id=case.event_id,
            lane=case.lane,
            captured_at=case.captured_at,
            published_at=case.published_at,
            taken_up_at=taken_up_at,
            inferred_at=datetime.now(UTC),
            patient_token=case.patient_token,
            image=case.image,
            context=case.context,
            findings=findings,
            model_version=version,
            model_status=status,
            failure=f"model_{status.value}" if not findings else None,
            synthetic=case.synthetic,
        )

    def on_problem(self, raw: RawInput, event: Any | None, problem: Problem, state: Any) -> Result:
        """A person looks at what the model could not be shown."""
        return self._quarantine.ask(raw, event, problem, self.lane)

    def _load_warm(self) -> Predictor:
        predictor = self._load_predictor()
        predictor.warm_up()
        return predictor

    async def _in_model_thread(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._judge_thread, call, *arguments)


def _finding(verdict: ModelFinding) -> Finding:
    region = verdict.region
    return Finding(
        stage=None if verdict.stage is None else StageClass(verdict.stage),
        confidence=verdict.confidence,
        probabilities=dict(verdict.probabilities),
        abstained=verdict.abstained,
        quality=dict(verdict.quality),
        region=None if region is None else Region(x=region.x, y=region.y, w=region.w, h=region.h),
    )


def _outcome(event: InferenceEvent) -> str:
    if not event.findings:
        return f"model_{event.model_status.value}"
    finding = event.findings[0]
    return f"abstained:{finding.abstained}" if finding.stage is None else f"judged:{finding.stage.value}"


def _observe(verdict: ModelFinding) -> None:
    if verdict.abstained is not None:
        metrics.ABSTENTIONS.labels(verdict.abstained).inc()
    for name, probability in verdict.probabilities.items():
        metrics.CLASS_PROBABILITY.labels(name).observe(probability)
