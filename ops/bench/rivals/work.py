"""The work of each stage as plain functions: what every contestant of the benchmark does with a case.

The same model, rules and events as the pipeline's stages, and the same Avro bytes in and out. Left out is what only the
pipeline has: dedupe, state, audit entries, dead letters, the escalation clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from inference.findings import ImageProblem
from inference.predictor import Predictor
from schemas.events import GradingEvent
from schemas.serde import Serde
from streams import topics
from streams.images.store import ImageStore
from streams.serving.judge import Judgement
from streams.settings import Settings
from streams.stages.escalation.events import requested_escalation
from streams.stages.grading.events import graded
from streams.stages.inference.build import load_predictor
from streams.stages.inference.events import inference_event
from streams.stages.policy.file import load_policy


class Done(NamedTuple):
    """A record to produce: key and encoded value."""

    key: bytes
    value: bytes


class Work:
    """The three steps. The model is loaded at the first picture, so that a process which only grades never loads it."""

    def __init__(self, settings: Settings, batch: int) -> None:
        self._settings, self._batch = settings, batch
        self._serde = Serde(settings.schema_registry_url)
        self._policy = load_policy(settings.policy_file)
        self._store = ImageStore.from_settings(settings)

    @cached_property
    def predictor(self) -> Predictor:
        """The active model, warmed up."""
        predictor = load_predictor(self._settings.model_dir, self._batch, None)
        predictor.warm_up()
        return predictor

    def infer(self, values: Sequence[bytes]) -> list[Done]:
        """Case events to inference events, one each."""
        taken_up_at = datetime.now(UTC)
        cases = [self._decoded(value, topics.CASES_ROUTINE) for value in values]
        answers = self.predictor.predict([self._store.fetch(case.image) for case in cases])
        done = []
        for case, answer in zip(cases, answers, strict=True):
            if isinstance(answer, ImageProblem):
                raise TypeError("the benchmark's own pictures can all be judged")
            verdict = Judgement(answer=answer, model_version=self.predictor.model_version)
            done.append(self._done(inference_event(case, verdict, None, taken_up_at), topics.INFERENCES))
        return done

    def grade(self, values: Sequence[bytes]) -> list[Done]:
        """Inference events to grading events, one each."""
        now = datetime.now(UTC)
        return [
            self._done(graded(self._policy, self._decoded(value, topics.INFERENCES), now), topics.GRADINGS)
            for value in values
        ]

    def escalate(self, values: Sequence[bytes]) -> list[list[Done]]:
        """Grading events to the escalations that each asks for."""
        return [self._escalated(self._decoded(value, topics.GRADINGS)) for value in values]

    def _decoded(self, value: bytes, topic: str) -> Any:
        return self._serde.decode(value, topic)

    def _escalated(self, grading: GradingEvent) -> list[Done]:
        events = (requested_escalation(self._policy, grading, request).event for request in grading.escalations)
        return [self._done(event, topics.ESCALATIONS[event.type]) for event in events]

    def _done(self, event: Any, schema_of: str) -> Done:
        return Done(str(event.case_id).encode(), self._serde.encode(event, schema_of))
