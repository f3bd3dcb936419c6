"""Cases for tests: pictures that are generated, events that are right or wrong in exactly one way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Producer

from inference.synthetic.generator import picture
from schemas import ids
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.events import CaseEvent, ImageReference, Lane, PatientContext
from schemas.serde import Serde
from streams import topics
from streams.images.store import ImageStore
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class Publisher:
    """Puts records on topics as they are, right or wrong, and waits for the broker."""

    settings: Settings
    serde: Serde
    store: ImageStore

    @classmethod
    def of(cls, settings: Settings) -> Publisher:
        return cls(settings, Serde(settings.schema_registry_url), ImageStore.from_settings(settings))

    def case(self, *, lane: Lane = Lane.ROUTINE, image: ImageReference | None = None, **fields: Any) -> CaseEvent:
        """A case event with a generated picture; `fields` replace what it holds."""
        image = image or self.store.put(jpeg(seed=int(uuid4()) % 2**31))
        case_id = uuid4()
        now = datetime.now(UTC)
        event = CaseEvent(
            event_id=ids.case_event_id(case_id, lane),
            case_id=case_id,
            lane=lane,
            captured_at=now,
            published_at=now,
            patient_token="vpt1-00000000-" + "a" * 64,
            image=image,
            context=PatientContext(age=85, diabetes=True),
            producer="test",
        )
        return replace(event, **fields)

    def send_case(self, event: CaseEvent) -> bytes:
        """Publish a case event on its lane; returns the value's bytes."""
        topic = topics.CASES[event.lane]
        value = self.serde.encode(event, topic)
        self.send(topic, event.case_id, value)
        return value

    def send(self, topic: str, key: UUID | bytes, value: bytes | None) -> None:
        """Publish bytes."""
        producer = Producer(
            {"bootstrap.servers": self.settings.bootstrap_servers, "log_level": 0, **LIBRDKAFKA_PARTITIONER}
        )
        errors: list[Any] = []
        raw_key = key if isinstance(key, bytes) else str(key).encode()
        producer.produce(topic, value, key=raw_key, on_delivery=lambda error, _: errors.append(error))
        assert producer.flush(30) == 0
        assert errors == [None]


def jpeg(seed: int, stage: str = "stage_3", size: int = 384) -> bytes:
    """An encoded generated picture of that class."""
    return picture(seed=seed, index=0, stage=stage, size=size).jpeg()
