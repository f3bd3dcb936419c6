"""What is declared of the topics fits together."""

from __future__ import annotations

import pytest

from schemas.events import EscalationEvent, EscalationType, Lane
from streams import topics
from streams.topics import ALL, BY_NAME, Flow, min_insync_replicas


def test_every_topic_is_declared_once() -> None:
    assert len(BY_NAME) == len(ALL)
    assert all(name.startswith("vigia.") for name in BY_NAME)


def test_every_lane_and_every_escalation_has_a_topic() -> None:
    assert set(topics.CASES) == set(Lane) - {Lane.UNKNOWN}
    assert set(topics.ESCALATIONS) == set(EscalationType) - {EscalationType.UNKNOWN}
    for type, name in topics.ESCALATIONS.items():
        assert name == f"vigia.escalations.{type.value.replace('_', '-')}"
        assert BY_NAME[name].record is EscalationEvent


def test_the_audit_is_compacted_and_never_deleted() -> None:
    audit = BY_NAME[topics.AUDIT]
    assert audit.compacted
    assert audit.retention_ms is None
    assert "case id/stage/event id" in audit.key


def test_ticks_are_kept_for_an_hour_only_and_roll_in_time_to_be_deleted() -> None:
    ticks = BY_NAME[topics.TICKS]
    assert ticks.retention_ms == 3_600_000
    assert int(ticks.config["segment.ms"]) <= ticks.retention_ms


@pytest.mark.parametrize("topic", [t for t in ALL if t.retention_ms is not None], ids=lambda topic: topic.name)
def test_what_is_deleted_rolls_its_segments_within_the_retention(topic: topics.Topic) -> None:
    assert int(topic.config["segment.ms"]) <= (topic.retention_ms or 0)


@pytest.mark.parametrize("topic", ALL, ids=lambda topic: topic.name)
def test_the_broker_stamps_every_record(topic: topics.Topic) -> None:
    assert topic.config["message.timestamp.type"] == "LogAppendTime"


@pytest.mark.parametrize("topic", [t for t in ALL if t.name.endswith(".state")], ids=lambda topic: topic.name)
def test_nothing_of_a_state_topic_is_deleted_by_time(topic: topics.Topic) -> None:
    assert topic.compacted
    assert topic.retention_ms is None


def test_a_dead_letter_holds_any_record_of_another_topic_and_its_own_headers() -> None:
    default = 1_048_588
    room = int(BY_NAME[topics.DEAD_LETTERS].config.get("max.message.bytes", default))
    largest = max(int(t.config["max.message.bytes"]) for t in ALL if t.name != topics.DEAD_LETTERS)
    assert room >= largest + 64 * 1024


def test_only_raw_topics_have_no_record() -> None:
    raw = {topic.name for topic in ALL if topic.record is None}
    assert raw == {topics.DEAD_LETTERS} | {topic.name for topic in ALL if topic.name.endswith(".state")}
    assert {name for name, _ in topics.RECORDS} == set(BY_NAME) - raw


def test_state_is_nobody_elses() -> None:
    assert all(topic.flow is Flow.WITHIN for topic in ALL if topic.name.endswith(".state"))


@pytest.mark.parametrize(("replication", "expected"), [(1, 1), (2, 1), (3, 2), (5, 2)])
def test_one_broker_may_fail_where_there_are_three(replication: int, expected: int) -> None:
    assert min_insync_replicas(replication) == expected
