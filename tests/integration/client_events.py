"""Escalations as a stage publishes them: in transactions, some of which abort."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from confluent_kafka import Producer

from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.events import (
    EscalationEvent,
    EscalationType,
    Lane,
    Reason,
    ReviewPriority,
    Severity,
    StageClass,
    Text,
)
from schemas.serde import Serde
from streams.settings import Settings
from tests.services import KafkaService, RegistryService

T0 = datetime(2025, 11, 24, 12, 0, tzinfo=UTC)


def settings_for(kafka: KafkaService, registry: RegistryService, **changed: object) -> Settings:
    values: dict[str, object] = {
        "bootstrap_servers": kafka.bootstrap_servers,
        "schema_registry_url": registry.url,
        "image_store": "memory://pictures/tests",
        "image_roots": ("memory://pictures/tests",),
        "token_key": bytes(32),
    }
    return Settings(**(values | changed))  # type: ignore[arg-type]


def escalation(level: int = 0) -> EscalationEvent:
    return EscalationEvent(
        event_id=uuid4(),
        escalation_id=uuid4(),
        case_id=uuid4(),
        source_event_id=uuid4(),
        type=EscalationType.EMERGENCY,
        level=level,
        role="emergency",
        roles=("emergency", "specialists"),
        channels=("#emergencias",),
        review_priority=ReviewPriority.EMERGENCY,
        severity=Severity.EMERGENCY,
        stage=StageClass.STAGE_4,
        confidence=0.91,
        raised_at=T0,
        respond_by=T0 + timedelta(minutes=5),
        lane=Lane.EMERGENCY,
        captured_at=T0,
        published_at=T0,
        policy_version="2025.1",
        policy_hash="0" * 64,
        reasons=(Reason(code="stage_4", rule_id="C-4", source="npiap-2016", es="Categoría IV", en="Stage 4"),),
        disclaimer=Text(code="support", es="Apoyo a la decisión", en="Decision support"),
    )


def publish_escalations(
    kafka: KafkaService, serde: Serde, topic: str, events: Iterable[EscalationEvent], *, commit: bool = True
) -> None:
    """One transaction with all events, keyed by their case; aborted unless `commit`."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": uuid4().hex, **LIBRDKAFKA_PARTITIONER}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for event in events:
        producer.produce(topic, value=serde.encode(event, topic), key=str(event.case_id).encode())
    producer.flush(30)
    if commit:
        producer.commit_transaction(30)
    else:
        producer.abort_transaction(30)


def publish_bytes(kafka: KafkaService, topic: str, value: bytes | None, *, partition: int = 0) -> None:
    """A record that no stage of ours would write."""
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    producer.produce(topic, value=value, key=b"key", partition=partition)
    assert producer.flush(30) == 0
