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

from inference.explain import overlay
from inference.findings import Finding, ImageProblem
from schemas import ids
from schemas.envelope.audit import audit_attributes
from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, ImageReference, Lane, PipelineStage
from streams import metrics, topics
from streams.images.errors import ImageError, StoreUnavailableError
from streams.images.store import ImageStore
from streams.runtime.records import Input, Noted, Output, Problem, Result
from streams.runtime.retry import Deadline, until_deadline
from streams.runtime.stage import Stage
from streams.serving.judge import Judge, Judgement
from streams.serving.model_set import Change
from streams.stages.grading.quarantine import Quarantine
from streams.stages.inference.events import inference_event, outcome

logger = get_logger(__name__)

#: Pictures fetched at the same time. Fetching waits on disk or network, not on the processor.
FETCHERS = 8
#: An emergency waits at most this long for an image store that does not answer, a routine case longer; then a person
#: looks instead of the model.
PATIENCE_S = {Lane.EMERGENCY: 5.0, Lane.ROUTINE: 30.0}
#: A lone emergency must not wait for company; routine pictures are cheaper by the batch.
MAX_BATCH = {Lane.EMERGENCY: 8, Lane.ROUTINE: 32}
WITHIN_S = {Lane.EMERGENCY: 0.01, Lane.ROUTINE: 0.05}


class InferenceStage(Stage):
    """Case events of one lane to inference events. A picture that cannot be judged is a problem, never a class."""

    pipeline_stage: ClassVar[PipelineStage] = PipelineStage.INFERENCE
    accepts = (CaseEvent,)
    deduplicates = True

    def __init__(
        self, lane: Lane, store: ImageStore, judge: Judge, quarantine: Quarantine, *, heat_maps: bool = True
    ) -> None:
        self.lane = lane
        self.name = f"inference-{lane.value}"
        self.inputs = (topics.CASES[lane],)
        self.patience_s = PATIENCE_S[lane]
        self.max_batch = MAX_BATCH[lane]
        self.within_s = WITHIN_S[lane]
        self._store = store
        self._judge = judge
        self._quarantine = quarantine
        self._heat_maps = heat_maps
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="fetch")

    async def start(self) -> None:
        """Load the models and warm them up. Without a valid one the stage still runs: its cases go to people."""
        await self._judge.start()

    async def stop(self) -> None:
        """Let the threads end."""
        self._fetchers.shutdown(wait=False)
        self._judge.stop()

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
        pictures = [
            (given.event.case_id, picture)
            for given, picture in zip(inputs, fetched, strict=True)
            if isinstance(picture, bytes)
        ]
        verdicts = await self._judge.judge(pictures)
        drawn = iter(await self._explain([picture for _, picture in pictures], verdicts))
        judged = iter(verdicts)
        results = []
        for given, picture in zip(inputs, fetched, strict=True):
            if isinstance(picture, Problem):
                results.append(Result(problem=picture))
            else:
                results.append(self._result(given, next(judged), next(drawn), taken_up_at))
        return self._with_changes(results)

    async def _fetch(self, case: CaseEvent, deadline: Deadline) -> bytes | Problem:
        try:
            return await until_deadline(
                lambda: self._in_fetcher(self._store.fetch, case.image),
                StoreUnavailableError,
                deadline,
                stage=self.name,
                dependency="image_store",
            )
        except ImageError as error:
            return Problem(reason=error.code, detail=str(error))
        except StoreUnavailableError as error:
            return Problem(reason=error.code, detail="the image store did not answer in time", system=True)

    async def _explain(self, pictures: Sequence[bytes], verdicts: Sequence[Judgement]) -> list[ImageReference | None]:
        """Where the model looked, drawn over each picture with an injury and stored beside it."""
        if not self._heat_maps:
            return [None] * len(pictures)
        started = time.perf_counter()
        drawn = await asyncio.gather(
            *(self._draw(picture, verdict) for picture, verdict in zip(pictures, verdicts, strict=True))
        )
        metrics.PHASE.labels("explain").observe(time.perf_counter() - started)
        return drawn

    async def _draw(self, picture: bytes, verdict: Judgement) -> ImageReference | None:
        finding = verdict.answer
        if not isinstance(finding, Finding) or finding.heat is None or finding.region is None:
            return None
        heat = finding.heat

        def draw_and_store() -> ImageReference:
            return self._store.put(overlay(picture, heat))

        try:
            reference: ImageReference = await self._in_fetcher(draw_and_store)
        except (ImageProblem, ImageError, StoreUnavailableError) as error:
            # An explanation is worth having, not worth waiting for: the case goes on without it.
            logger.warning("no heat map: %s", type(error).__name__)
            return None
        return reference

    def _result(
        self, given: Input, verdict: Judgement, heat_map: ImageReference | None, taken_up_at: datetime
    ) -> Result:
        if isinstance(verdict.answer, ImageProblem):
            return Result(problem=Problem(reason=verdict.answer.code.value, detail=str(verdict.answer)))
        case: CaseEvent = given.event
        event = inference_event(case, verdict, heat_map, taken_up_at)
        received = Noted(
            event_id=case.event_id,
            case_id=case.case_id,
            topic=given.raw.topic,
            outcome=f"received:{self.lane.value}",
            stage=PipelineStage.INGEST,
            output_hash=given.hash,
            attributes=audit_attributes({"producer": case.producer, "synthetic": case.synthetic or None}),
        )
        judged = Output(
            topic=topics.INFERENCES,
            event=event,
            outcome=outcome(event),
            stage=PipelineStage.INFERENCE,
            attributes=audit_attributes({"confidence": event.findings[0].confidence if event.findings else None}),
        )
        return Result(outputs=(judged,), noted=(received,))

    def _with_changes(self, results: list[Result]) -> list[Result]:
        """Audit a change of models with the first case judged after it."""
        position = next((at for at, result in enumerate(results) if result.outputs), None)
        if position is None:
            return results
        result = results[position]
        event: Any = result.outputs[0].event
        remarks = tuple(self._remark(event.case_id, change) for change in self._judge.take_changes())
        results[position] = Result(outputs=result.outputs, noted=(*result.noted, *remarks))
        return results

    def _remark(self, case_id: Any, change: Change) -> Noted:
        return Noted(
            event_id=ids.derived_id(change.order.event_id, f"{self.name}/{change.role}", change.order.version),
            case_id=case_id,
            topic=topics.MODEL_CONTROL,
            outcome=change.outcome,
            stage=PipelineStage.CONTROL,
            output_hash=change.order.record_hash,
            source_event_id=change.order.event_id,
            attributes=audit_attributes(
                {"version": change.order.version, "share": change.order.share, "stage": self.name}
            ),
        )

    def on_problem(self, raw: RawRecord, event: Any | None, problem: Problem, state: Any) -> Result:
        """A person looks at what the model could not be shown."""
        return self._quarantine.ask(raw, event, problem, self.lane)

    async def _in_fetcher(self, call: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._fetchers, call, *arguments)
