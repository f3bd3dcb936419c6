"""A person answers an escalation: what a ward's system would publish."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from confluent_kafka import Producer

from schemas.events import AcknowledgementAction, AcknowledgementEvent, EscalationEvent
from schemas.serde import Serde
from streams import topics
from streams.partitioner import LIBRDKAFKA_PARTITIONER
from streams.settings import Settings


def acknowledge(settings: Settings, escalation: EscalationEvent) -> AcknowledgementEvent:
    """Acknowledge in the role that was asked, and wait for the broker. Raises RuntimeError when it does not answer."""
    ack = AcknowledgementEvent(
        event_id=uuid4(),
        case_id=escalation.case_id,
        escalation_id=escalation.escalation_id,
        action=AcknowledgementAction.ACKNOWLEDGE,
        role=escalation.role,
        acknowledged_at=datetime.now(UTC),
    )
    serde = Serde(settings.schema_registry_url)
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "enable.idempotence": True,
            "log_level": 0,
            **LIBRDKAFKA_PARTITIONER,
        }
    )
    producer.produce(topics.ACKNOWLEDGEMENTS, serde.encode(ack, topics.ACKNOWLEDGEMENTS), key=str(ack.case_id).encode())
    if producer.flush(15):
        raise RuntimeError("the broker did not take the acknowledgement")
    serde.close()
    return ack
