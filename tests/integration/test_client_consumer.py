"""EventConsumer against a real broker and registry: what is delivered, how often, and what is not lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from uuid import UUID

import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.errors import RegistryUnavailableError, UndecodableError
from schemas.events import EscalationEvent
from schemas.serde import Serde
from streams.broker.errors import BrokerUnavailableError, TopicMissingError
from streams.broker.received import ReceivedEvent
from streams.client.consumer import EventConsumer
from streams.settings import Settings
from tests.integration.client_events import escalation, publish_bytes, publish_escalations, settings_for
from tests.services import KafkaService, RegistryService

PATIENCE_S = 90.0


@pytest.fixture
def settings(kafka: KafkaService, registry: RegistryService) -> Settings:
    return settings_for(kafka, registry)


@pytest.fixture
def serde(registry: RegistryService) -> Iterator[Serde]:
    serde = Serde(registry.url)
    yield serde
    serde.close()


@pytest.fixture
def topic(make_topic: Callable[..., str], serde: Serde) -> str:
    name = make_topic("escalations", partitions=2)
    serde.register_all([(name, EscalationEvent)])
    return name


def take(consumer: EventConsumer, count: int) -> list[ReceivedEvent]:
    """The next `count` events; the last one is in hand, not handled."""
    found = []
    while len(found) < count:
        received = consumer.next(PATIENCE_S)
        assert received is not None, f"only {len(found)} of {count} events came"
        found.append(received)
    return found


def ids(received: list[ReceivedEvent]) -> set[UUID]:
    return {one.event.event_id for one in received}


def committed(kafka: KafkaService, group: str, topic: str) -> dict[int, int]:
    reader = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": group})
    try:
        places = [TopicPartition(topic, partition) for partition in range(2)]
        return {place.partition: place.offset for place in reader.committed(places, timeout=30) if place.offset >= 0}
    finally:
        reader.close()


def test_committed_events_come_decoded_and_aborted_ones_never(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    kept = [escalation() for _ in range(10)]
    publish_escalations(kafka, serde, topic, kept[:5])
    publish_escalations(kafka, serde, topic, [escalation() for _ in range(7)], commit=False)
    publish_escalations(kafka, serde, topic, kept[5:])
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        received = take(consumer, 10)
        assert consumer.next(1) is None
    assert sorted((one.event.event_id for one in received), key=str) == sorted((e.event_id for e in kept), key=str)
    assert {one.event for one in received} == set(kept)
    assert all(one.key == str(one.event.case_id).encode() for one in received)


def test_what_was_handled_is_not_delivered_again_and_what_was_in_hand_is(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    publish_escalations(kafka, serde, topic, [escalation() for _ in range(6)])
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        first = take(consumer, 4)
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        second = take(consumer, 3)
        assert consumer.next(1) is None
    assert ids(first[:3]).isdisjoint(ids(second))
    assert first[3].event.event_id in ids(second)
    assert len(ids(first) | ids(second)) == 6


def test_a_handler_that_raises_gets_its_event_again(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    event = escalation()
    publish_escalations(kafka, serde, topic, [event])

    def handle_and_fail() -> None:
        with EventConsumer(settings, [topic], unique + "g") as consumer:
            for _ in consumer.events(timeout=PATIENCE_S):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        handle_and_fail()
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        assert take(consumer, 1)[0].event == event


def test_marking_the_event_in_hand_before_leaving_the_loop_keeps_its_place(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    publish_escalations(kafka, serde, topic, [escalation()])
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        for _ in consumer.events(timeout=PATIENCE_S):
            consumer.mark_handled()
            break
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        assert consumer.next(1.5) is None


def test_positions_are_committed_while_the_consumer_runs(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    publish_escalations(kafka, serde, topic, [escalation() for _ in range(4)])
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        take(consumer, 4)
        consumer.mark_handled()
        consumer.commit()
        assert sum(committed(kafka, unique + "g", topic).values()) >= 4


def test_a_record_that_cannot_be_decoded_is_handed_on_as_it_is(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    publish_bytes(kafka, topic, b"not ours")
    publish_bytes(kafka, topic, None)
    publish_escalations(kafka, serde, topic, [escalation() for _ in range(8)])
    with EventConsumer(settings, [topic], unique + "g") as consumer:
        received = take(consumer, 10)
    broken = [one for one in received if one.decoded is None]
    assert [one.value for one in broken] == [b"not ours", None]
    assert isinstance(broken[0].error, UndecodableError)
    for one in broken:
        with pytest.raises(UndecodableError):
            _ = one.event
    assert len(received) - len(broken) == 8


def test_a_registry_that_is_away_loses_nothing(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str, registry: RegistryService
) -> None:
    event = escalation()
    publish_escalations(kafka, serde, topic, [event])
    nowhere = Serde("http://127.0.0.1:9/apis/ccompat/v7", timeout_s=0.5, retries=0)
    with EventConsumer(settings, [topic], unique + "g", serde=nowhere) as consumer:
        for _ in range(2):
            with pytest.raises(RegistryUnavailableError):
                consumer.next(PATIENCE_S)
        consumer._serde = serde
        assert take(consumer, 1)[0].event == event
        assert consumer.next(1) is None


def test_two_members_share_the_partitions_and_handle_each_event_once(
    kafka: KafkaService, settings: Settings, serde: Serde, topic: str, unique: str
) -> None:
    published: set[UUID] = set()
    found: list[tuple[str, UUID]] = []
    finished = threading.Event()

    def publish(count: int) -> None:
        events = [escalation() for _ in range(count)]
        publish_escalations(kafka, serde, topic, events)
        published.update(event.event_id for event in events)

    def member(name: str) -> None:
        with EventConsumer(settings, [topic], unique + "g") as consumer:
            while not finished.is_set():
                if (received := consumer.next(0.2)) is not None:
                    found.append((name, received.event.event_id))

    def until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, f"{len(found)} deliveries of {len(published)} events"
            publish(2)
            time.sleep(0.05)

    members = [threading.Thread(target=member, args=(name,)) for name in ("first", "second")]
    publish(20)
    members[0].start()
    until(lambda: len(found) >= 20)
    members[1].start()
    until(lambda: any(name == "second" for name, _ in found))
    last = time.monotonic() + 60
    while {event_id for _, event_id in found} != published and time.monotonic() < last:
        time.sleep(0.05)
    finished.set()
    for thread in members:
        thread.join(60)

    assert {event_id for _, event_id in found} == published
    # Nothing was in hand when partitions moved, so nothing came twice.
    assert len(found) == len(published)


def test_a_topic_that_does_not_exist_is_named(settings: Settings, unique: str) -> None:
    with EventConsumer(settings, [unique + "nowhere"], unique + "g") as consumer:
        with pytest.raises(TopicMissingError, match=rf"topic {unique}nowhere does not exist: run `vigia topics apply`"):
            consumer.next(PATIENCE_S)


def test_a_broker_that_does_not_answer_is_told_from_a_quiet_topic(
    kafka: KafkaService, registry: RegistryService, unique: str
) -> None:
    nowhere = settings_for(kafka, registry, bootstrap_servers="127.0.0.1:9")
    with EventConsumer(nowhere, ["vigia.gradings"], unique + "g") as consumer:
        with pytest.raises(BrokerUnavailableError, match="VIGIA_BOOTSTRAP_SERVERS"):
            consumer.next(2)


def test_settings_that_the_promise_rests_on_cannot_be_changed(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"isolation\.level"):
        EventConsumer(settings, ["x"], "g", **{"isolation.level": "read_uncommitted"})
