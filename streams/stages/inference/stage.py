"""Inference stage: fetch each case's picture, let the model judge the batch, publish what it found.

One process per lane, so that no backlog of routine pictures can stand in front of an emergency.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

from inference.decode import Decoded
from inference.explain import overlay
from inference.findings import Finding
from schemas import ids
from schemas.canary import is_canary
from schemas.envelope.audit import audit_attributes
from schemas.envelope.raw import RawRecord
from schemas.events import CaseEvent, ImageReference, Lane, PipelineStage
from streams import metrics, topics
from streams.clinical import times
from streams.images.errors import ImageError, StoreUnavailableError
from streams.images.store import ImageStore
from streams.runtime.records import AuditNote, Input, InputProblem, Output, Result
from streams.runtime.retry import Deadline
from streams.runtime.stage import NoState, StatelessStage
from streams.serving.judge import Judge, Judgement
from streams.serving.model_set import Change
from streams.stages.grading.quarantine import Quarantine
from streams.stages.inference.events import inference_event, outcome
from streams.stages.inference.pictures import Pictures, Seen

logger = logging.getLogger(__name__)

#: An emergency waits at most this long for its picture to be fetched and decoded, a routine case longer; then a person
#: looks instead of the model.
PATIENCE_S = {Lane.EMERGENCY: 5.0, Lane.ROUTINE: 30.0}
#: A lone emergency must not wait for company; routine pictures are cheaper by the batch.
MAX_BATCH = {Lane.EMERGENCY: 8, Lane.ROUTINE: 32}
#: A heat map explains; nobody waits long for one that cannot be stored.
HEAT_MAP_S = {Lane.EMERGENCY: 1.0, Lane.ROUTINE: 10.0}
WITHIN_S = {Lane.EMERGENCY: 0.01, Lane.ROUTINE: 0.05}


#: A synthetic case asks nobody: it is believed of the canary only.
FORGED = InputProblem(reason="invalid_event", detail="a synthetic case without the canary's proof")

CaseInput = Input[CaseEvent, NoState]


class InferenceStage(StatelessStage[CaseEvent]):
    """Case events of one lane to inference events. A picture that cannot be judged is a problem, never a class."""

    accepts = (CaseEvent,)
    deduplicates = True

    def __init__(
        self,
        lane: Lane,
        store: ImageStore,
        judge: Judge,
        quarantine: Quarantine,
        *,
        heat_maps: bool = True,
        canary_key: bytes | None = None,
    ) -> None:
        self.lane = lane
        self.name = f"inference-{lane.value}"
        self.inputs = (topics.CASES[lane],)
        self.patience_s = PATIENCE_S[lane]
        self.max_batch = MAX_BATCH[lane]
        self.within_s = WITHIN_S[lane]
        self._pictures = Pictures(store, self.name)
        self._judge = judge
        self._quarantine = quarantine
        self._heat_maps = heat_maps
        self._canary_key = canary_key

    async def start(self) -> None:
        """Load the models and warm them up. Without a valid one the stage still runs: its cases go to people."""
        self._pictures.start()
        await self._judge.start()

    def longest_s(self) -> float:
        """Seconds that the oldest call to the store or a model has been under way."""
        return max(self._pictures.longest_s(), self._judge.longest_s())

    async def stop(self) -> None:
        """Let the threads end, and the processes that decode."""
        self._pictures.close()
        self._judge.stop()

    async def handle(self, record: CaseInput) -> Result:
        """The result for one case, as a batch of its own."""
        return (await self.handle_batch([record]))[0]

    async def handle_batch(self, records: Sequence[CaseInput]) -> Sequence[Result]:
        """Results for a batch of cases: fetched side by side, judged together."""
        taken_up_at = datetime.now(UTC)
        seen = [
            FORGED if self._forged(record.event) else said
            for record, said in zip(records, await self._see_all(records), strict=True)
        ]
        results = {at: Result(problem=said) for at, said in enumerate(seen) if isinstance(said, InputProblem)}
        pictures = {at: said for at, said in enumerate(seen) if isinstance(said, Decoded)}
        verdicts = await self._judge.judge(
            [(records[at].event.case_id, picture) for at, picture in pictures.items()], self.patience_s
        )
        heat_maps = await self._explain(list(pictures.values()), verdicts)
        for at, verdict, heat_map in zip(pictures, verdicts, heat_maps, strict=True):
            results[at] = self._result(records[at], verdict, heat_map, taken_up_at)
        return self._with_changes([results[at] for at in range(len(records))])

    def _forged(self, case: CaseEvent) -> bool:
        return case.synthetic and not is_canary(self._canary_key, case.case_id, case.proof)

    async def _see_all(self, records: Sequence[CaseInput]) -> Sequence[Seen]:
        started = time.perf_counter()
        seen = await self._pictures.see([record.event.image for record in records], Deadline.after(self.patience_s))
        metrics.PHASE.labels("fetch").observe(time.perf_counter() - started)
        return [_untimely(record) or said for record, said in zip(records, seen, strict=True)]

    async def _explain(self, pictures: Sequence[Decoded], verdicts: Sequence[Judgement]) -> list[ImageReference | None]:
        """Where the model looked, drawn over each picture with an injury and stored beside it."""
        if not self._heat_maps:
            return [None] * len(pictures)
        started = time.perf_counter()
        drawn = await asyncio.gather(
            *(self._draw(picture, verdict) for picture, verdict in zip(pictures, verdicts, strict=True))
        )
        metrics.PHASE.labels("explain").observe(time.perf_counter() - started)
        return drawn

    async def _draw(self, picture: Decoded, verdict: Judgement) -> ImageReference | None:
        finding = verdict.answer
        if not isinstance(finding, Finding) or finding.heat is None or finding.region is None:
            return None
        try:
            return await self._pictures.put(partial(overlay, picture, finding.heat), HEAT_MAP_S[self.lane])
        except (ImageError, StoreUnavailableError, TimeoutError) as error:
            # An explanation is worth having, not worth waiting for: the case goes on without it.
            logger.warning("no heat map: %s", type(error).__name__)
            return None

    def _result(
        self, record: CaseInput, verdict: Judgement, heat_map: ImageReference | None, taken_up_at: datetime
    ) -> Result:
        case = record.event
        event = inference_event(case, verdict, heat_map, taken_up_at)
        received = AuditNote(
            event_id=case.event_id,
            case_id=case.case_id,
            topic=record.raw.topic,
            outcome=f"received:{self.lane.value}",
            stage=PipelineStage.INGEST,
            output_hash=record.hash,
            attributes=audit_attributes({"producer": case.producer, "synthetic": case.synthetic or None}),
        )
        judged = Output(
            topic=topics.INFERENCES,
            event=event,
            outcome=outcome(event),
            stage=PipelineStage.INFERENCE,
            attributes=audit_attributes({"confidence": event.findings[0].confidence if event.findings else None}),
        )
        return Result(outputs=(judged,), notes=(received,))

    def _with_changes(self, results: list[Result]) -> list[Result]:
        """Audit a change of models with the first case judged after it."""
        first = next((at for at, result in enumerate(results) if result.outputs), None)
        if first is None:
            return results
        case_id = results[first].outputs[0].event.case_id
        changes = tuple(self._change_note(case_id, change) for change in self._judge.take_changes())
        results[first] = replace(results[first], notes=(*results[first].notes, *changes))
        return results

    def _change_note(self, case_id: UUID, change: Change) -> AuditNote:
        return AuditNote(
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

    def on_problem(self, raw: RawRecord, event: CaseEvent | None, problem: InputProblem) -> Result:
        """A person looks at what the model could not be shown."""
        # An address that is never read may be any text.
        shown = event is not None and self._pictures.may_read(event.image)
        return self._quarantine.ask(raw, event, problem, self.lane, with_image=shown)


def _untimely(record: CaseInput) -> InputProblem | None:
    """What is wrong with the times of a case, by the broker's stamp: a clock that was never set, most often."""
    stamped = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=max(0, record.raw.timestamp_ms))
    wrong = times.impossible(record.event.captured_at, record.event.published_at, stamped)
    return None if wrong is None else InputProblem(reason="time_impossible", detail=f"the case {wrong}")
