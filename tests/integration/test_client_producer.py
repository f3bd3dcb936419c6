"""CaseProducer against a real broker and registry: acknowledged, on the right partition, once."""

from __future__ import annotations

import dataclasses
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, NewTopic
from PIL import Image

from schemas.envelope.partitioner import partition_of
from schemas.errors import RegistryUnavailableError, SchemaNotRegisteredError
from schemas.events import CaseEvent, Lane
from schemas.serde import Serde
from streams.client import (
    BrokerUnavailableError,
    CaseProducer,
    ClockError,
    EventConsumer,
    NewCase,
    PublishedCase,
    ReceivedEvent,
    RefusedCase,
    TopicMissingError,
)
from streams.images.store import ImageStore
from streams.settings import Settings
from tests.integration.client_events import settings_for
from tests.services import KafkaService, RegistryService

TAKEN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)
CONTEXT = {"age": 85, "diabetes": True, "risk_score": 18}


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (shade % 256, shade // 256 * 16, 50)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def settings(kafka: KafkaService, registry: RegistryService, tmp_path: Path) -> Settings:
    url = f"file://{tmp_path}/images"
    return settings_for(kafka, registry, image_store=url, image_roots=(url,))


@pytest.fixture
def topics(make_topic: Callable[..., str], registry: RegistryService) -> Mapping[Lane, str]:
    names = {lane: make_topic(f"cases.{lane.value}", partitions=4) for lane in (Lane.EMERGENCY, Lane.ROUTINE)}
    serde = Serde(registry.url)
    serde.register_all([(name, CaseEvent) for name in names.values()])
    serde.close()
    return names


@pytest.fixture
def producer(settings: Settings, topics: Mapping[Lane, str]) -> Iterator[CaseProducer]:
    with CaseProducer(settings, name="tests", topics=topics) as producer:
        yield producer


def records(settings: Settings, topics: Mapping[Lane, str], group: str, count: int) -> list[ReceivedEvent]:
    """All records of the topics, of which there should be `count`."""
    with EventConsumer(settings, list(topics.values()), group) as consumer:
        found = [received for _ in range(count) if (received := consumer.next(30)) is not None]
        return found + list(consumer.events(timeout=0.5))


def test_the_predecessors_example_arrives_as_an_emergency(
    producer: CaseProducer, settings: Settings, topics: Mapping[Lane, str], unique: str, tmp_path: Path
) -> None:
    file = tmp_path / "lesion.png"
    file.write_bytes(picture(1))
    published = producer.publish(
        image=file,
        patient_code="EMERGENCY-2025-001",
        context=CONTEXT,
        processing_options={"analysis_type": "emergency"},
    )
    (record,) = records(settings, topics, unique + "g", 1)
    event = record.event
    assert isinstance(event, CaseEvent)
    assert (published.case_id, published.event_id) == (event.case_id, event.event_id)
    assert (published.topic, published.partition, published.offset) == (record.topic, record.partition, record.offset)
    assert record.topic == topics[Lane.EMERGENCY]
    assert record.key == str(event.case_id).encode()
    assert b"EMERGENCY-2025-001" not in (record.value or b"")
    assert ImageStore.from_settings(settings).fetch(event.image) == picture(1)


def test_each_case_is_on_the_partition_that_the_stages_expect(
    producer: CaseProducer, topics: Mapping[Lane, str]
) -> None:
    cases = [NewCase(image=picture(shade), patient_code="CD-2025-001", captured_at=TAKEN) for shade in range(60)]
    published = [one for one in producer.publish_many(cases) if isinstance(one, PublishedCase)]
    assert [one.partition for one in published] == [partition_of(str(one.case_id).encode(), 4) for one in published]
    assert {one.partition for one in published} == {0, 1, 2, 3}


def test_publishing_again_makes_no_second_record_and_gives_the_first_answer(
    producer: CaseProducer, settings: Settings, topics: Mapping[Lane, str], unique: str
) -> None:
    def publish() -> PublishedCase:
        return producer.publish(image=picture(3), patient_code="CD-2025-001", context=CONTEXT, captured_at=TAKEN)

    first, second = publish(), publish()
    assert not first.duplicate
    assert second.duplicate
    assert (second.event_id, second.partition, second.offset) == (first.event_id, first.partition, first.offset)
    assert len(records(settings, topics, unique + "g", 1)) == 1


def test_another_process_that_publishes_again_gives_the_same_ids(
    producer: CaseProducer, settings: Settings, topics: Mapping[Lane, str]
) -> None:
    first = producer.publish(image=picture(4), patient_code="CD-2025-001", captured_at=TAKEN)
    with CaseProducer(settings, topics=topics) as other:
        again = other.publish(image=picture(4), patient_code="CD-2025-001", captured_at=TAKEN)
    assert (again.case_id, again.event_id) == (first.case_id, first.event_id)


def test_the_same_case_with_another_context_is_a_revision_of_it(producer: CaseProducer) -> None:
    def publish(context: Mapping[str, object]) -> PublishedCase:
        return producer.publish(image=picture(5), patient_code="CD-2025-001", context=context, captured_at=TAKEN)

    first, corrected, again = publish({"age": 85}), publish({"age": 58}), publish({"age": 58})
    assert corrected.case_id == first.case_id
    assert corrected.event_id != first.event_id
    assert not corrected.duplicate
    assert again.duplicate


def test_many_threads_may_share_a_producer(
    producer: CaseProducer, settings: Settings, topics: Mapping[Lane, str], unique: str
) -> None:
    published: list[PublishedCase] = []

    def work(number: int) -> None:
        shades = [shade * 10 + number % 4 for shade in range(10)]
        cases = [NewCase(image=picture(shade), patient_code="CD-2025-001", captured_at=TAKEN) for shade in shades]
        published.extend(
            producer.publish(image=case.image, patient_code=case.patient_code, captured_at=case.captured_at)
            for case in cases
        )

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(published) == 80
    assert len(records(settings, topics, unique + "g", 40)) == len({one.event_id for one in published}) == 40


def test_many_cases_are_answered_in_order_and_a_wrong_one_holds_up_none(
    producer: CaseProducer, settings: Settings, topics: Mapping[Lane, str], unique: str
) -> None:
    cases = [NewCase(image=picture(shade), patient_code="CD-2025-001", captured_at=TAKEN) for shade in range(200)]
    wrong = NewCase(image=picture(7), patient_code="CD-2025-1", captured_at=TAKEN)
    cases[50] = wrong
    cases.append(cases[0])
    answers = list(producer.publish_many(cases))
    assert len(answers) == 201
    assert isinstance(answers[50], RefusedCase)
    assert answers[50].case is wrong
    sent = [one for one in answers if isinstance(one, PublishedCase)]
    assert [one.duplicate for one in sent] == [False] * 199 + [True]
    assert sent[-1].case_id == sent[0].case_id
    events = [record.event for record in records(settings, topics, unique + "g", 199)]
    assert {event.event_id for event in events} == {one.event_id for one in sent}
    assert len(events) == 199


def test_a_broker_that_is_not_there_is_named(
    kafka: KafkaService, settings: Settings, topics: Mapping[Lane, str]
) -> None:
    nowhere = dataclasses.replace(settings, bootstrap_servers="127.0.0.1:9")
    with CaseProducer(nowhere, topics=topics, acknowledge_within_s=1.5) as producer:
        with pytest.raises(BrokerUnavailableError, match="VIGIA_BOOTSTRAP_SERVERS"):
            producer.publish(image=picture(6), patient_code="CD-2025-001", captured_at=TAKEN)


def test_a_failed_event_may_be_published_again_by_the_same_producer(
    settings: Settings, registry: RegistryService, kafka: KafkaService, unique: str
) -> None:
    topic = unique + "late"
    serde = Serde(registry.url)
    serde.register_all([(topic, CaseEvent)])
    lanes = {Lane.ROUTINE: topic, Lane.EMERGENCY: topic}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    with CaseProducer(settings, topics=lanes, serde=serde, acknowledge_within_s=20) as producer:
        with pytest.raises(TopicMissingError, match=f"topic {topic} does not exist: run `vigia topics apply`"):
            producer.publish(image=picture(8), patient_code="CD-2025-001", captured_at=TAKEN)
        admin.create_topics([NewTopic(topic, 4, 1)])[topic].result(30)
        try:
            # The client may go on for a moment believing what it heard of the topic.
            published = None
            for _ in range(20):
                try:
                    published = producer.publish(image=picture(8), patient_code="CD-2025-001", captured_at=TAKEN)
                    break
                except TopicMissingError:
                    threading.Event().wait(0.5)
            assert published is not None
            assert not published.duplicate
        finally:
            admin.delete_topics([topic])[topic].exception(30)
    serde.close()


def test_a_contract_that_is_not_registered_and_a_registry_that_is_away_are_told_apart(
    settings: Settings, make_topic: Callable[..., str]
) -> None:
    topic = make_topic("unregistered")
    lanes = {Lane.ROUTINE: topic, Lane.EMERGENCY: topic}
    with CaseProducer(settings, topics=lanes) as producer:
        with pytest.raises(SchemaNotRegisteredError, match="vigia topics apply"):
            producer.publish(image=picture(9), patient_code="CD-2025-001", captured_at=TAKEN)
    away = dataclasses.replace(settings, schema_registry_url="http://127.0.0.1:9/apis/ccompat/v7")
    with CaseProducer(away, topics=lanes) as producer:
        with pytest.raises(RegistryUnavailableError):
            producer.publish(image=picture(9), patient_code="CD-2025-001", captured_at=TAKEN)


def test_a_time_that_the_broker_refuses_is_told_apart_with_what_to_do(
    settings: Settings, make_topic: Callable[..., str]
) -> None:
    # To a broker that takes no record older than it is, every clock is behind.
    topic = make_topic("strict", config={"message.timestamp.before.max.ms": "0"})
    lanes = {Lane.ROUTINE: topic, Lane.EMERGENCY: topic}
    serde = Serde(settings.schema_registry_url)
    serde.register_all([(topic, CaseEvent)])
    with CaseProducer(settings, topics=lanes, serde=serde) as producer:
        with pytest.raises(ClockError, match="set its clock"):
            producer.publish(image=picture(11), patient_code="CD-2025-001", captured_at=TAKEN)
    serde.close()
