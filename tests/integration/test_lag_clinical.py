"""Who waits, read from a real broker and registry: the figures follow what is published, committed and audited."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.lag.clinical.figures import ClinicalFigures
from ops.lag.clinical.monitor import ClinicalMonitor, Sources
from ops.lag.monitor import LagMonitor
from schemas.events import AuditEntry, CaseEvent, EscalationEvent, ImageReference, Lane, PatientContext, PipelineStage
from schemas.record import Record
from schemas.serde import Serde
from tests.integration.client_events import escalation
from tests.services import KafkaService, RegistryService


class Ward:
    """A pipeline's topics of one test's own, written by hand."""

    def __init__(self, kafka: KafkaService, registry: RegistryService, unique: str, topic: Callable[..., str]) -> None:
        self.cases, self.escalations, self.audit = topic("cases"), topic("escalations"), topic("audit")
        self.group = f"{unique}inference"
        self._serde = Serde(registry.url)
        self._serde.register_all(
            [(self.cases, CaseEvent), (self.escalations, EscalationEvent), (self.audit, AuditEntry)]
        )
        self._producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
        self._admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
        sources = Sources(
            steps=(("inference", self.group, self.cases),), escalations=frozenset({self.escalations}), audit=self.audit
        )
        self._lag = LagMonitor(kafka.bootstrap_servers, topics=f"{unique}.*", groups=f"{unique}.*")
        self._clinical = ClinicalMonitor(kafka.bootstrap_servers, registry.url, sources=sources)

    def write(self, topic: str, event: Record, key: str) -> None:
        self._producer.produce(topic, self._serde.encode(event, topic), key.encode())
        assert self._producer.flush(30) == 0

    def case(self, lane: Lane, age_s: float, *, synthetic: bool = False) -> None:
        published_at = datetime.now(UTC) - timedelta(seconds=age_s)
        event = CaseEvent(
            event_id=uuid4(),
            case_id=uuid4(),
            lane=lane,
            captured_at=published_at,
            published_at=published_at,
            image=ImageReference(uri="memory://p/a.jpg", sha256="0" * 64, size_bytes=1, media_type="image/jpeg"),
            context=PatientContext(),
            producer="canary" if synthetic else "ward",
            synthetic=synthetic,
            proof="0" * 64 if synthetic else None,
        )
        self.write(self.cases, event, str(event.case_id))

    def audited(self, about: EscalationEvent, stage: PipelineStage, outcome: str) -> None:
        entry = AuditEntry(
            event_id=uuid4(),
            case_id=about.case_id,
            stage=stage,
            decided_at=datetime.now(UTC),
            topic=self.escalations,
            outcome=outcome,
            source_event_id=about.escalation_id,
            output_hash="0" * 64,
        )
        self.write(self.audit, entry, f"{about.case_id}/{stage.value}/{entry.event_id}")

    def commit_everything(self) -> None:
        bounds = self._lag.refresh().view.bounds
        held = [TopicPartition(*place, bounds[place].last_stable) for place in bounds if place[0] == self.cases]
        for future in self._admin.alter_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(self.group, held)]
        ).values():
            future.result(30)

    def figures(self) -> ClinicalFigures:
        figures = self._clinical.refresh(self._lag.refresh().view)
        while not figures.complete:
            figures = self._clinical.refresh(self._lag.refresh().view)
        return figures

    def close(self) -> None:
        self._lag.close()
        self._clinical.close()
        self._serde.close()


@pytest.fixture
def ward(kafka: KafkaService, registry: RegistryService, unique: str, make_topic: Callable[..., str]) -> Iterator[Ward]:
    ward = Ward(kafka, registry, unique, make_topic)
    yield ward
    ward.close()


def waiting(figures: ClinicalFigures, lane: str) -> tuple[int, int]:
    """(cases, seconds in full tens) before inference."""
    (one,) = [one for one in figures.waiting if (one.step, one.lane) == ("inference", lane)]
    return one.cases, int(one.oldest_s // 10 * 10)


def test_cases_wait_until_their_stage_commits_and_a_canary_is_no_case(ward: Ward) -> None:
    ward.case(Lane.ROUTINE, age_s=95)
    ward.case(Lane.ROUTINE, age_s=5)
    ward.case(Lane.EMERGENCY, age_s=25)
    ward.case(Lane.EMERGENCY, age_s=500, synthetic=True)
    figures = ward.figures()
    assert waiting(figures, "routine")[0] == 2
    assert 90 <= waiting(figures, "routine")[1] < 200
    assert waiting(figures, "emergency")[0] == 1
    assert 20 <= waiting(figures, "emergency")[1] < 130
    ward.commit_everything()
    assert waiting(ward.figures(), "routine") == waiting(ward.figures(), "emergency") == (0, 0)
    ward.case(Lane.EMERGENCY, age_s=0)
    assert waiting(ward.figures(), "emergency")[0] == 1


def test_an_escalation_is_open_until_the_audit_says_that_an_answer_counts(ward: Ward) -> None:
    raised = replace(escalation(), raised_at=datetime.now(UTC), respond_by=datetime.now(UTC) + timedelta(minutes=5))
    ward.write(ward.escalations, raised, str(raised.case_id))
    ward.write(ward.escalations, replace(escalation(), synthetic=True), str(uuid4()))
    (one,) = ward.figures().unanswered
    assert one.escalation_id == str(raised.escalation_id)
    assert one.priority == "emergency"
    ward.audited(raised, PipelineStage.ACKNOWLEDGEMENT, "role_too_low")
    assert len(ward.figures().unanswered) == 1
    ward.audited(raised, PipelineStage.ESCALATION, "deadline_missed:emergency:1")
    assert ward.figures().missed == {"emergency": 1}
    ward.audited(raised, PipelineStage.ACKNOWLEDGEMENT, "acknowledged")
    assert ward.figures().unanswered == ()


def test_what_is_no_event_does_not_stop_the_figures(ward: Ward) -> None:
    ward._producer.produce(ward.cases, b"\x00no avro at all", b"k")
    ward._producer.produce(ward.cases, None, b"k")
    ward._producer.flush(30)
    ward.case(Lane.EMERGENCY, age_s=1)
    assert waiting(ward.figures(), "emergency")[0] == 1
