"""The models at work: which one judges which picture, in a thread of its own, and the change to another set."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar
from uuid import UUID

from inference.decode import Decoded
from inference.findings import Finding, ModelError
from inference.predictor import Predictor
from schemas.events import ModelStatus, ShadowFinding, StageClass
from streams import metrics
from streams.serving.model_set import Change, LoadPredictor, ModelSet, load_set
from streams.serving.rollout import Rollout
from streams.threads import Lent

ArgumentT = TypeVar("ArgumentT")
AnswerT = TypeVar("AnswerT")
#: What the model says of a picture, or why it said nothing.
Answer = Finding | ModelStatus

logger = logging.getLogger(__name__)

#: Follows orders: called with what to do at a change; returns the standing orders. None in tests without a broker.
FollowOrders = Callable[[Callable[[Rollout], None]], Rollout]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was said of one picture: a finding, or why no model said anything."""

    answer: Answer
    model_version: str | None
    shadow: ShadowFinding | None = None


class Judge:
    """Holds the current set of models. One batch at a time; a new set takes over between two batches."""

    def __init__(self, load: LoadPredictor, follow: FollowOrders | None = None) -> None:
        self._load = load
        self._follow = follow
        self._models = ModelSet()
        self._changes: list[Change] = []
        self._changing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        # One thread: the model uses its own, and two batches at once would only slow each other down.
        self._model_thread = _model_thread()
        self._lent = Lent()
        # Another for loading, so that judging goes on beside it.
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")

    async def start(self) -> None:
        """Load what is ordered, or the default, and warm it up."""
        loop = asyncio.get_running_loop()
        rollout = Rollout()
        if self._follow is not None:

            def changed(now: Rollout) -> None:
                loop.call_soon_threadsafe(self._change_soon, now)

            rollout = await asyncio.to_thread(self._follow, changed)
        await self._change(rollout)

    def stop(self) -> None:
        """Let the threads end."""
        self._model_thread.shutdown(wait=False)
        self._loader.shutdown(wait=False)

    def take_changes(self) -> list[Change]:
        """What became of orders since the last call, for the audit of the first case judged after it."""
        changes, self._changes = self._changes, []
        return changes

    def longest_s(self) -> float:
        """Seconds that the oldest call to a model has been under way."""
        return self._lent.longest_s()

    async def judge(self, pictures: Sequence[tuple[UUID, Decoded]], within_s: float = float("inf")) -> list[Judgement]:
        """One verdict for each (case id, picture), in order; one set of models for the whole batch.

        A model that has not answered `within_s` seconds has failed.
        """
        models = self._models
        deadline = time.monotonic() + within_s
        if not pictures:
            return []
        started = time.perf_counter()
        shares: dict[int, list[int]] = defaultdict(list)
        judges = [models.judge_of(case_id) for case_id, _ in pictures]
        for position, judge in enumerate(judges):
            shares[id(judge)].append(position)
        answers: list[Answer] = [ModelStatus.UNAVAILABLE] * len(pictures)
        for positions in shares.values():
            predictor = judges[positions[0]]
            if predictor is not None:
                given = await self._answers(predictor, [pictures[position][1] for position in positions], deadline)
                for position, answer in zip(positions, given, strict=True):
                    answers[position] = answer
        metrics.PHASE.labels("model").observe(time.perf_counter() - started)
        shadows = await self._shadows(models.shadow, pictures, answers, deadline)
        return [
            Judgement(answer=answer, model_version=None if judge is None else judge.model_version, shadow=shadow)
            for answer, judge, shadow in zip(answers, judges, shadows, strict=True)
        ]

    async def _answers(self, predictor: Predictor, pictures: Sequence[Decoded], deadline: float) -> Sequence[Answer]:
        try:
            return await self._in_model_thread(predictor.judge, pictures, deadline)
        except TimeoutError:
            logger.error("the model did not answer in time")
            metrics.TIMED_OUT.labels("inference", "model").inc(len(pictures))
            return [ModelStatus.FAILED] * len(pictures)
        except ModelError as error:
            # One picture may have upset the model: each gets a run of its own before it is given to people.
            if len(pictures) == 1:
                logger.error("the model failed: %s", error)
                return [ModelStatus.FAILED]
            return [(await self._answers(predictor, [picture], deadline))[0] for picture in pictures]

    async def _shadows(
        self,
        shadow: Predictor | None,
        pictures: Sequence[tuple[UUID, Decoded]],
        answers: Sequence[Answer],
        deadline: float,
    ) -> Sequence[ShadowFinding | None]:
        """What the model under trial would have said. It decides nothing, and its failure stops nothing."""
        if shadow is None:
            return [None] * len(pictures)
        said = await self._answers(shadow, [picture for _, picture in pictures], deadline)
        return [_shadow_finding(shadow.model_version, theirs, ours) for theirs, ours in zip(said, answers, strict=True)]

    def _change_soon(self, rollout: Rollout) -> None:
        task = asyncio.ensure_future(self._change(rollout))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _change(self, rollout: Rollout) -> None:
        async with self._changing:
            load = partial(load_set, rollout, self._models, self._load)
            made, changes = await asyncio.get_running_loop().run_in_executor(self._loader, load)
            # The one assignment that is the swap: a batch that has begun keeps the set it began with.
            self._models = made
            self._changes.extend(changes)
            for change in changes:
                logger.info("model %s: %s", change.order.version, change.outcome)

    async def _in_model_thread(
        self, call: Callable[[ArgumentT], AnswerT], argument: ArgumentT, deadline: float
    ) -> AnswerT:
        work = self._lent.watch(self._model_thread.submit(call, argument))
        left = deadline - time.monotonic()
        try:
            return await asyncio.wait_for(asyncio.wrap_future(work), None if left == float("inf") else max(0.0, left))
        except TimeoutError:
            if work.running():
                # That thread may never come back: the next batch shall not stand behind it.
                self._model_thread.shutdown(wait=False)
                self._model_thread = _model_thread()
            raise


def _model_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="model")


def _shadow_finding(version: str, theirs: Answer, ours: Answer) -> ShadowFinding | None:
    if not isinstance(theirs, Finding):
        return None
    if isinstance(ours, Finding):
        metrics.SHADOW.labels("agree" if theirs.stage == ours.stage else "disagree").inc()
    stage = None if theirs.stage is None else StageClass(theirs.stage)
    return ShadowFinding(model_version=version, stage=stage, confidence=theirs.confidence)
