"""The load of the benchmark: cases with generated pictures, published as fast as the broker takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from confluent_kafka import Producer

from inference.findings import CLASSES
from inference.synthetic.generator import picture
from schemas import ids
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.events import CaseEvent, ImageReference, Lane, PatientContext
from schemas.serde import Serde
from streams import topics
from streams.images.store import ImageStore
from streams.settings import Settings

#: Distinct pictures; more would only fill the disk, since a picture is decoded again for every case.
DISTINCT = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Pictures in the pipeline's image store, by their references."""

    store: ImageStore
    references: tuple[ImageReference, ...]

    def repeated(self, count: int) -> list[ImageReference]:
        """`count` references, going round the stored pictures."""
        return [self.references[at % len(self.references)] for at in range(count)]


def store_pictures(settings: Settings, side: int, seed: int = 7, distinct: int = DISTINCT) -> Stored:
    """Generated pictures of all classes, `side` pixels wide, in the store of a running system."""
    store = ImageStore.from_settings(settings)
    encoded = (picture(seed, number, stage=CLASSES[number % len(CLASSES)], size=side) for number in range(distinct))
    return Stored(store=store, references=tuple(store.put(each.jpeg()) for each in encoded))


def new_case(reference: ImageReference, lane: Lane) -> CaseEvent:
    """A new case with this picture."""
    case_id = uuid4()
    now = datetime.now(UTC)
    return CaseEvent(
        event_id=ids.case_event_id(case_id, lane),
        case_id=case_id,
        lane=lane,
        captured_at=now,
        published_at=now,
        patient_token="vpt1-00000000-" + "b" * 64,
        image=reference,
        context=PatientContext(age=80, diabetes=True),
        producer="vigia-bench",
    )


def open_producer(settings: Settings) -> Producer:
    """A producer that is already connected, so that connecting is not measured with the first case."""
    producer = Producer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "enable.idempotence": True,
            "linger.ms": 0,
            "log_level": 0,
            **LIBRDKAFKA_PARTITIONER,
        }
    )
    producer.list_topics(timeout=10)
    return producer


def publish(
    producer: Producer, serde: Serde, cases: Sequence[CaseEvent], to: Mapping[Lane, str] = topics.CASES
) -> None:
    """Publish these cases and wait for the broker's confirmation of all. Raises RuntimeError without it."""
    for case in cases:
        value = serde.encode(case, topics.CASES[case.lane])
        producer.produce(to[case.lane], value, key=str(case.case_id).encode())
        producer.poll(0)
    if producer.flush(60):
        raise RuntimeError("the broker did not take the load")
