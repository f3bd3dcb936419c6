"""The work itself, stage by stage, as plain functions: what every contestant of the benchmark does with a case.

The same model, rules and events as the pipeline's stages, and the same Avro bytes in and out. Left out is what the
pipeline adds and the other designs have not: dedupe, state, the audit entry, the dead letter, the escalation clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from inference.findings import ImageProblem
from inference.predictor import Predictor
from schemas import ids
from schemas.events import EscalationEvent, GradingEvent, GradingKind, InferenceEvent
from schemas.serde import Serde
from streams import topics
from streams.clinical.clock import open_escalation
from streams.clinical.decide import decide
from streams.gradings import grading_event
from streams.images import ImageStore
from streams.inference_events import inference_event
from streams.judging import Verdict
from streams.policy_file import load_policy
from streams.settings import Settings
from streams.stages import load_predictor


class Done(NamedTuple):
    """A record that comes of an input."""

    key: bytes
    value: bytes


class Work:
    """The three steps. The model is loaded at the first picture, so that a process which only grades has none."""

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
        cases: list[Any] = [self._serde.decode(value) for value in values]
        answers = self.predictor.predict([self._store.fetch(case.image) for case in cases])
        done = []
        for case, answer in zip(cases, answers, strict=True):
            if isinstance(answer, ImageProblem):
                raise TypeError("the benchmark's own pictures can all be judged")
            verdict = Verdict(answer=answer, model_version=self.predictor.model_version)
            done.append(self._done(inference_event(case, verdict, None, taken_up_at), topics.INFERENCES))
        return done

    def grade(self, values: Sequence[bytes]) -> list[Done]:
        """Inference events to grading events, one each."""
        return [self._done(self._graded(self._decoded(value)), topics.GRADINGS) for value in values]

    def escalate(self, values: Sequence[bytes]) -> list[list[Done]]:
        """Grading events to the escalations that each asks for."""
        return [self._escalated(self._decoded(value)) for value in values]

    def _decoded(self, value: bytes) -> Any:
        return self._serde.decode(value)

    def _graded(self, inference: InferenceEvent) -> GradingEvent:
        decision = decide(
            self._policy,
            inference.findings,
            inference.context,
            model_status=inference.model_status,
            lane=inference.lane,
            has_patient_token=inference.patient_token is not None,
        )
        return grading_event(
            decision,
            event_id=ids.derived_id(inference.event_id, "grading", self._policy.version),
            case_id=inference.case_id,
            source_event_id=inference.event_id,
            kind=GradingKind.DECISION,
            lane=inference.lane,
            captured_at=inference.captured_at,
            published_at=inference.published_at,
            graded_at=datetime.now(UTC),
            patient_token=inference.patient_token,
            image=inference.image,
            model_version=inference.model_version,
        )

    def _escalated(self, grading: GradingEvent) -> list[Done]:
        done = []
        for request in grading.escalations:
            event: EscalationEvent = open_escalation(
                request,
                grading,
                escalation_id=ids.escalation_id(grading.event_id, request.type.value),
                event_id=ids.escalation_event_id,
                ladder=self._policy.escalations[request.type].ladder,
                disclaimer=self._policy.disclaimer,
                raised_at=grading.graded_at,
            ).event
            done.append(self._done(event, topics.ESCALATIONS[event.type]))
        return done

    def _done(self, event: Any, schema_of: str) -> Done:
        return Done(str(event.case_id).encode(), self._serde.encode(event, schema_of))
