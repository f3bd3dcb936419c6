"""A small world that is in order, made by the stages' own code without any broker: what a test then damages by hand."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from inference.findings import Finding as ModelFinding
from ops.chaos.reference import Reference
from ops.chaos.values import SeenRecord, Sent
from schemas import ids
from schemas.envelope.dead_letter import event_id_of
from schemas.envelope.raw import RawRecord
from schemas.events import (
    AcknowledgementAction,
    AcknowledgementEvent,
    AuditEntry,
    CaseEvent,
    Finding,
    GradingEvent,
    GradingKind,
    ImageReference,
    InferenceEvent,
    Lane,
    ModelStatus,
    PatientContext,
    PipelineStage,
    StageClass,
)
from schemas.events.carried import carried
from streams import topics
from streams.clinical.clock import MergeCode, merge, on_tick, open_escalation
from streams.clinical.decide import decide
from streams.clinical.escalations import OpenEscalation
from streams.runtime import dead_letter
from streams.runtime.records import InputProblem
from streams.stages.grading.events import grading_event
from streams.stages.grading.quarantine import Quarantine
from streams.stages.policy.file import load_policy

START = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
PICTURE = "ab" * 32
SAID = ModelFinding(
    stage="stage_3", confidence=0.81, probabilities={"stage_3": 0.81, "stage_2": 0.19}, model_version="lpp-test"
)
POLICY = load_policy(None)
REFERENCE = Reference(predict={PICTURE: SAID}.__getitem__, model_version="lpp-test", policy=POLICY)


def encoded(event: Any) -> bytes:
    """Bytes that differ where events differ; the verifier never decodes, so they need not be Avro."""
    return pickle.dumps(event.__avro__.to_avro(event))


@dataclass
class World:
    """What was sent, and every committed record."""

    sent: list[Sent] = field(default_factory=list)
    seen: list[SeenRecord] = field(default_factory=list)
    now: datetime = START
    _standing: dict[Any, OpenEscalation] = field(default_factory=dict)
    _cases: int = 0

    def case(self, case_id: UUID | None = None, lane: Lane = Lane.ROUTINE) -> CaseEvent:
        """A case that goes through the whole pipeline."""
        event = self.new_case(case_id, lane)
        record = self.publish(topics.CASES[lane], event)
        self._audit(record, PipelineStage.INGEST, f"received:{lane.value}", None)
        inference = self._put(topics.INFERENCES, self._inference(event))
        self._audit(inference, PipelineStage.INFERENCE, "judged:stage_3", record)
        grading = self._put(topics.GRADINGS, self._grading(inference.event))
        self._audit(grading, PipelineStage.GRADING, "graded", inference)
        self._demand(grading)
        return event

    def new_case(self, case_id: UUID | None = None, lane: Lane = Lane.ROUTINE) -> CaseEvent:
        """A case event that nobody has published."""
        self._cases += 1
        self.now += timedelta(seconds=1)
        return CaseEvent(
            event_id=UUID(int=10_000 + self._cases),
            case_id=case_id or UUID(int=self._cases),
            lane=lane,
            captured_at=self.now,
            published_at=self.now,
            patient_token="vpt1-00000000-" + "c" * 64,
            image=ImageReference(uri=f"file:///x/{PICTURE}", sha256=PICTURE, size_bytes=9, media_type="image/jpeg"),
            context=PatientContext(age=70 + self._cases % 10, diabetes=True),
            producer="test",
        )

    def publish(self, topic: str, event: Any, refused: frozenset[str] = frozenset()) -> SeenRecord:
        """Send an event; its record."""
        key, value = str(event.case_id).encode(), encoded(event)
        self.sent.append(Sent(topic=topic, key=key, value=value, event=event, refused=refused))
        return self._put(topic, event)

    def repeat(self) -> None:
        """The first case record again, byte by byte."""
        self.sent.append(self.sent[0])
        first = next(record for record in self.seen if record.topic in topics.CASES.values())
        self.seen.append(replace(first, offset=self._next(first.topic)))

    def poison(self, reason: str = "image_missing") -> None:
        """A case that goes to the dead letters."""
        event = self.new_case()
        record = self.publish(topics.CASES_ROUTINE, event, frozenset({reason}))
        raw = RawRecord(
            topic=record.topic,
            partition=0,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
        )
        letter = dead_letter.dead_letter(raw, "inference-routine", InputProblem(reason=reason, detail=""))
        put = self._put(topics.DEAD_LETTERS, None, key=record.key, value=record.value, headers=dict(letter.headers))
        grading = self._put(
            topics.GRADINGS,
            Quarantine(POLICY).grading(raw, event, InputProblem(reason=reason, detail=""), Lane.ROUTINE),
        )
        self._audit(grading, PipelineStage.GRADING, f"quarantined:{reason}", record)
        entry_id = event_id_of(raw)
        self._audit(put, PipelineStage.QUARANTINE, f"dead_letter:{reason}", record, entry_id, event.case_id)
        self._demand(grading)

    def answer(self, case: CaseEvent) -> None:
        """A person takes up the first open escalation of the case."""
        standing = next(each for each in self._standing.values() if each.event.case_id == case.case_id)
        ack = AcknowledgementEvent(
            event_id=UUID(int=90_000 + len(self.seen)),
            case_id=case.case_id,
            escalation_id=standing.escalation_id,
            action=AcknowledgementAction.RESOLVE,
            role=standing.ladder[-1],
            acknowledged_at=self.now,
            acknowledged_by="person-" + "0" * 32,
        )
        record = self.publish(topics.ACKNOWLEDGEMENTS, ack)
        self._audit(
            record, PipelineStage.ACKNOWLEDGEMENT, "resolved", None, attributes={"ack_event_id": str(ack.event_id)}
        )
        del self._standing[case.case_id, standing.event.type]

    def miss(self, case: CaseEvent) -> None:
        """Nobody answers the case's first open escalation in time: it is raised."""
        demand, standing = next(item for item in self._standing.items() if item[0][0] == case.case_id)
        parent = next(seen for seen in self.seen if seen.event == standing.event)
        raised, events = on_tick(
            standing, standing.event.respond_by, event_id=ids.escalation_event_id, unresolved=POLICY.unresolved
        )
        record = self._put(topics.ESCALATIONS[demand[1]], events[0])
        self._raised(record, f"deadline_missed:{demand[1].value}:1", parent)
        self._standing[demand] = raised

    def _inference(self, case: CaseEvent) -> InferenceEvent:
        assert SAID.stage is not None
        finding = Finding(
            stage=StageClass(SAID.stage), confidence=SAID.confidence, probabilities=dict(SAID.probabilities)
        )
        return InferenceEvent(
            event_id=ids.derived_id(case.event_id, "inference", "lpp-test"),
            case_id=case.case_id,
            source_event_id=case.event_id,
            lane=case.lane,
            captured_at=case.captured_at,
            published_at=case.published_at,
            taken_up_at=self.now,
            inferred_at=self.now,
            patient_token=case.patient_token,
            image=case.image,
            context=case.context,
            findings=(finding,),
            model_version="lpp-test",
            model_status=ModelStatus.JUDGED,
        )

    def _grading(self, inference: InferenceEvent) -> GradingEvent:
        decision = decide(POLICY, inference.findings, inference.context, lane=inference.lane)
        return grading_event(
            decision,
            carried(inference),
            event_id=ids.derived_id(inference.event_id, "grading", f"{POLICY.version}+{POLICY.hash[:12]}"),
            source_event_id=inference.event_id,
            kind=GradingKind.DECISION,
            graded_at=self.now,
            model_version="lpp-test",
        )

    def _demand(self, grading: SeenRecord) -> None:
        for request in grading.event.escalations:
            new = open_escalation(
                request,
                grading.event,
                escalation_id=ids.escalation_id(grading.event.event_id, request.type.value),
                event_id=ids.escalation_event_id,
                ladder=POLICY.escalations[request.type].ladder,
                disclaimer=POLICY.disclaimer,
                raised_at=grading.event.graded_at,
            )
            demand = (grading.event.case_id, request.type)
            code, result = merge(self._standing.get(demand), new, event_id=ids.escalation_event_id)
            if code is MergeCode.MERGED:
                entry = replace(new.event)
                self._audit(
                    grading,
                    PipelineStage.ESCALATION,
                    f"merged:{request.type.value}",
                    grading,
                    entry.event_id,
                    source=grading.event.event_id,
                )
                continue
            self._standing[demand] = result
            record = self._put(topics.ESCALATIONS[request.type], result.event)
            word = "escalated" if code is MergeCode.OPENED else "superseded"
            self._raised(record, f"{word}:{request.type.value}:{result.event.level}", grading)

    def _raised(self, record: SeenRecord, outcome: str, parent: SeenRecord) -> None:
        attributes = {"escalation_id": str(record.event.escalation_id)}
        self._audit(record, PipelineStage.ESCALATION, outcome, parent, attributes=attributes)

    def _audit(
        self,
        record: SeenRecord,
        stage: PipelineStage,
        outcome: str,
        parent: SeenRecord | None,
        event_id: UUID | None = None,
        case_id: UUID | None = None,
        source: UUID | None = None,
        attributes: dict[str, str] | None = None,
    ) -> None:
        entry = AuditEntry(
            event_id=event_id or record.event.event_id,
            case_id=case_id or record.event.case_id,
            stage=stage,
            decided_at=self.now,
            topic=record.topic,
            outcome=outcome,
            source_event_id=source or getattr(record.event, "source_event_id", None),
            input_hash=None if parent is None else hashlib.sha256(parent.value or b"").hexdigest(),
            output_hash=hashlib.sha256(record.value or b"").hexdigest(),
            attributes=attributes or {},
        )
        key = f"{entry.case_id}/{stage.value}/{entry.event_id}".encode()
        self._put(topics.AUDIT, entry, key=key)

    def _put(
        self,
        topic: str,
        event: Any,
        key: bytes | None = None,
        value: bytes | None = None,
        headers: dict[str, bytes] | None = None,
    ) -> SeenRecord:
        record = SeenRecord(
            topic=topic,
            partition=0,
            offset=self._next(topic),
            timestamp_ms=int(self.now.timestamp() * 1000),
            key=key or str(event.case_id).encode(),
            value=encoded(event) if value is None else value,
            headers=headers or {},
            event=event,
        )
        self.seen.append(record)
        return record

    def _next(self, topic: str) -> int:
        return sum(record.topic == topic for record in self.seen)
