"""Topics on a real cluster are created as declared, never changed, and their differences are told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import httpx2
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from ops.cli import cli
from schemas import definitions
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER, partition_of
from schemas.registry import COMPATIBILITY, Registry, subject_of
from streams import topics
from streams.broker import topic_admin
from streams.broker.topic_admin import Difference, TopicsError
from streams.topics import Topic
from tests.services import KafkaService, RegistryService

T = TypeVar("T")


@dataclass(frozen=True)
class Sizes:
    partitions: int = 3
    replication: int = 1


@pytest.fixture
def admin(kafka: KafkaService) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap_servers})


@pytest.fixture
def own(admin: AdminClient, unique: str) -> Iterator[tuple[Topic, ...]]:
    """Every declared topic under a name of this test's own, removed afterwards."""
    declared = tuple(dataclasses.replace(topic, name=unique + topic.name) for topic in topics.ALL)
    yield declared
    there = [topic.name for topic in declared if topic.name in admin.list_topics(timeout=30).topics]
    for future in (admin.delete_topics(there) if there else {}).values():
        future.exception(30)


def eventually(look: Callable[[], T], good: Callable[[T], bool]) -> T:
    """What `look` sees once it is `good`: brokers hear of changes a moment after the controller."""
    deadline = time.monotonic() + 30
    while not good(seen := look()):
        assert time.monotonic() < deadline, seen
        time.sleep(0.05)
    return seen


def alter(admin: AdminClient, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(30)


def test_every_topic_is_created_as_declared_and_a_second_time_nothing_happens(
    admin: AdminClient, own: tuple[Topic, ...]
) -> None:
    first = topic_admin.apply(admin, Sizes(), own)
    assert first.created == tuple(topic.name for topic in own)
    assert first.differences == ()
    assert topic_admin.apply(admin, Sizes(), own) == topic_admin.Applied(created=(), differences=())


def test_a_missing_topic_is_a_serious_difference(admin: AdminClient, own: tuple[Topic, ...]) -> None:
    topic_admin.apply(admin, Sizes(), own[1:])
    assert topic_admin.check(admin, Sizes(), own) == (
        Difference(topic=own[0].name, what="topic", expected="there", found="missing", serious=True),
    )


@pytest.mark.parametrize("wanted", [2, 6])
def test_another_partition_count_is_reported_and_left_alone(
    admin: AdminClient, own: tuple[Topic, ...], wanted: int
) -> None:
    topic_admin.apply(admin, Sizes(), own[:2])
    again = topic_admin.apply(admin, Sizes(partitions=wanted), own[:2])
    assert [str(difference) for difference in again.differences] == [
        f"{topic.name}: partition count is 3, should be {wanted}" for topic in own[:2]
    ]
    assert all(difference.serious for difference in again.differences)
    assert len(admin.list_topics(timeout=30).topics[own[0].name].partitions) == 3


def test_another_retention_is_reported_and_another_cleanup_policy_is_serious(
    admin: AdminClient, own: tuple[Topic, ...]
) -> None:
    inference, audit = (next(t for t in own if t.name.endswith(name)) for name in ("vigia.inferences", "vigia.audit"))
    topic_admin.apply(admin, Sizes(), own)
    alter(admin, inference.name, "retention.ms", "1000")
    alter(admin, audit.name, "cleanup.policy", "delete")
    found = eventually(lambda: topic_admin.check(admin, Sizes(), own), lambda differences: len(differences) == 2)
    assert [str(difference) for difference in found] == [
        f"{audit.name}: cleanup.policy is delete, should be compact",
        f"{inference.name}: retention.ms is 1000, should be {topics.CLINICAL_RETENTION_MS}",
    ]
    assert [difference.serious for difference in found] == [True, False]


def is_there(differences: Sequence[topic_admin.Difference]) -> bool:
    """Whether every broker knows of the topic by now."""
    return all(difference.what != "topic" for difference in differences)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message.timestamp.type", "CreateTime"),
        ("max.message.bytes", "1000"),
        ("min.insync.replicas", "1"),
        ("unclean.leader.election.enable", "true"),
    ],
)
def test_a_setting_that_loses_records_is_serious(
    admin: AdminClient, make_topic: Callable[..., str], name: str, value: str
) -> None:
    config = {**topics.BY_NAME[topics.GRADINGS].config, "min.insync.replicas": "2", name: value}
    topic = dataclasses.replace(
        topics.BY_NAME[topics.GRADINGS], name=make_topic("gradings", partitions=3, config=config)
    )
    (found,) = eventually(lambda: topic_admin.check(admin, Sizes(replication=3), [topic]), is_there)
    assert (found.what, found.found, found.serious) == (name, value, True)


@pytest.mark.parametrize(("name", "value"), [("max.message.bytes", "9000000"), ("min.insync.replicas", "3")])
def test_a_setting_that_keeps_more_than_is_declared_is_no_reason_to_stop(
    admin: AdminClient, make_topic: Callable[..., str], name: str, value: str
) -> None:
    config = {**topics.BY_NAME[topics.GRADINGS].config, "min.insync.replicas": "2", name: value}
    topic = dataclasses.replace(
        topics.BY_NAME[topics.GRADINGS], name=make_topic("gradings", partitions=3, config=config)
    )
    (found,) = eventually(lambda: topic_admin.check(admin, Sizes(replication=3), [topic]), is_there)
    assert (found.what, found.serious) == (name, False)


@pytest.mark.parametrize("off", [timedelta(days=-2000), timedelta(hours=2)], ids=["in 2020", "two hours ahead"])
def test_a_writers_wrong_clock_neither_deletes_a_record_nor_gets_it_refused(
    kafka: KafkaService, admin: AdminClient, own: tuple[Topic, ...], off: timedelta
) -> None:
    cases = next(topic for topic in own if topic.name.endswith(topics.CASES_EMERGENCY))
    topic_admin.apply(admin, Sizes(), [cases])
    refused: list[KafkaError | None] = []
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    said = datetime.now(UTC) + off
    producer.produce(
        cases.name,
        b"case",
        timestamp=int(said.timestamp() * 1000),
        partition=0,
        on_delivery=lambda error, _: refused.append(error),
    )
    assert producer.flush(30) == 0
    assert refused == [None]
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap_servers, "group.id": cases.name})
    consumer.assign([TopicPartition(cases.name, 0, 0)])
    message = consumer.poll(30)
    consumer.close()
    assert message is not None
    kind, at_ms = message.timestamp()
    assert kind == TIMESTAMP_LOG_APPEND_TIME
    assert abs(datetime.fromtimestamp(at_ms / 1000, UTC) - said) > timedelta(hours=1)


def test_more_replicas_than_brokers_is_one_line(admin: AdminClient, own: tuple[Topic, ...]) -> None:
    with pytest.raises(TopicsError, match=r"^creating .*: .*replication") as caught:
        topic_admin.apply(admin, Sizes(replication=7), own[:1])
    assert "\n" not in str(caught.value)


def test_a_broker_that_is_not_there_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.broker.topic_admin.TIMEOUT_S", 0.5)
    with pytest.raises(TopicsError, match="the broker does not answer"):
        topic_admin.check(AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0}), Sizes())


def test_all_clients_put_a_key_on_the_same_partition(kafka: KafkaService, make_topic: Callable[..., str]) -> None:
    topic = make_topic("keys", partitions=12)
    keys = [str(uuid4()).encode() for _ in range(200)]
    expected = [partition_of(key, 12) for key in keys]
    assert len(set(expected)) == 12
    assert with_librdkafka(kafka.bootstrap_servers, topic, keys, LIBRDKAFKA_PARTITIONER) == expected
    assert asyncio.run(with_aiokafka(kafka.bootstrap_servers, topic, keys)) == expected
    # Why the setting matters: without it, most keys land elsewhere.
    assert with_librdkafka(kafka.bootstrap_servers, topic, keys, {}) != expected


def with_librdkafka(servers: str, topic: str, keys: list[bytes], settings: dict[str, str]) -> list[int]:
    landed: dict[bytes, int] = {}
    producer = Producer({"bootstrap.servers": servers, **settings})
    for key in keys:
        producer.produce(
            topic, b"", key, on_delivery=lambda _, message: landed.update({message.key(): message.partition()})
        )
    assert producer.flush(30) == 0
    return [landed[key] for key in keys]


async def with_aiokafka(servers: str, topic: str, keys: list[bytes]) -> list[int]:
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        return [(await producer.send_and_wait(topic, b"", key)).partition for key in keys]


@pytest.fixture
def env(kafka: KafkaService, registry: RegistryService) -> dict[str, str]:
    return {"VIGIA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "VIGIA_SCHEMA_REGISTRY_URL": registry.url}


def test_vigia_topics_apply_makes_everything_ready_and_check_agrees(
    env: dict[str, str], admin: AdminClient, registry: RegistryService
) -> None:
    applied = CliRunner().invoke(cli, ["topics", "apply", "--json"], env=env)
    assert applied.exit_code == 0, applied.output
    assert set(json.loads(applied.stdout)["schema_ids"]) == {topic for topic, _ in topics.RECORDS}
    assert set(topics.BY_NAME) <= set(admin.list_topics(timeout=30).topics)
    with Registry(registry.url) as client:
        assert client.compatibility(subject_of(topics.AUDIT)) == COMPATIBILITY
    checked = CliRunner().invoke(cli, ["topics", "check"], env=env)
    assert checked.exit_code == 0, checked.output
    assert f"{len(topics.ALL)} topics are as declared" in checked.stdout
    registered = CliRunner().invoke(cli, ["schemas", "register"], env=env)
    assert registered.exit_code == 0
    assert registered.stdout.count("schema id") == len(topics.RECORDS)


def test_vigia_topics_check_names_a_registry_that_was_vandalised_and_apply_mends_it(
    env: dict[str, str], registry: RegistryService
) -> None:
    assert CliRunner().invoke(cli, ["topics", "apply"], env=env).exit_code == 0
    with httpx2.Client(base_url=registry.url) as http:
        subject = f"/subjects/{subject_of(topics.MODEL_CONTROL)}"
        for query in ("", "?permanent=true"):
            assert http.delete(f"{subject}{query}").status_code == 200
        audit = f"/config/{subject_of(topics.AUDIT)}"
        assert http.put(audit, json={"compatibility": "NONE"}).status_code == 200
        foreign = json.loads(definitions.text("vigia.v1.AuditEntry"))
        foreign["fields"].insert(0, {"name": "x", "type": {"type": "array", "items": "null"}, "default": []})
        versions = f"/subjects/{subject_of(topics.AUDIT)}/versions"
        added = http.post(versions, json={"schema": json.dumps(foreign)})
        assert added.status_code == 200, added.text
        found = CliRunner().invoke(cli, ["topics", "check"], env=env)
        assert found.exit_code == 1
        wanted = (
            "must be mended: vigia.model-control: schema of this version is not registered, should be registered: run"
        )
        assert wanted in found.stdout
        assert (
            "vigia.audit: schema compatibility is NONE, should be FULL_TRANSITIVE: run `vigia topics ap" in found.stdout
        )
        assert (
            "vigia.audit: version 2 of the schema is refused (the schema has an array of what takes no bytes"
            in found.stdout
        )
        assert http.delete(f"{versions}/2").status_code == 200
    assert CliRunner().invoke(cli, ["topics", "apply"], env=env).exit_code == 0
    assert CliRunner().invoke(cli, ["topics", "check"], env=env).exit_code == 0


def test_vigia_topics_check_fails_where_the_pipeline_could_not_run(env: dict[str, str]) -> None:
    result = CliRunner().invoke(cli, ["topics", "check"], env=env | {"VIGIA_PARTITIONS": "50"})
    assert result.exit_code == 1
    assert "must be mended: vigia.cases.emergency: " in result.stdout


def test_vigia_topics_says_what_is_not_set(tmp_path: Path) -> None:
    env = {"VIGIA_BOOTSTRAP_SERVERS": "", "VIGIA_RUN_DIR": str(tmp_path)}
    result = CliRunner().invoke(cli, ["topics", "apply"], env=env)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: VIGIA_BOOTSTRAP_SERVERS is not set")
