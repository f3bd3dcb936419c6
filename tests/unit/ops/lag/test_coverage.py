"""Which partitions a group's lag covers, as topics and commits come and go."""

from __future__ import annotations

from collections.abc import Mapping

from ops.lag.broker_view import BrokerView, ObservedGroup, ObservedTopic, Replicas
from ops.lag.coverage import Coverage
from ops.lag.positions import Bounds

HELD = Replicas(leader=1, replicas=1, in_sync=1)


def view(topics: Mapping[str, str], groups: Mapping[str, ObservedGroup], partitions: int = 2) -> BrokerView:
    """Topics by name and id."""
    return BrokerView(
        at=0.0,
        at_s=0.0,
        brokers=1,
        topics={
            name: ObservedTopic(topic_id=topic_id, partitions=dict.fromkeys(range(partitions), HELD), compacted=False)
            for name, topic_id in topics.items()
        },
        groups=groups,
        bounds={
            (name, number): Bounds(log_start=0, last_stable=9, high_watermark=9)
            for name in topics
            for number in range(partitions)
        },
    )


COMMITTED = ObservedGroup(committed={("t", 0): 5}, members=0, owned=frozenset())
HOLDS = ObservedGroup(committed={}, members=1, owned=frozenset({("t", 1)}))
NOTHING = ObservedGroup(committed={}, members=0, owned=frozenset())
BOTH = {("g", "t", 0), ("g", "t", 1)}


def test_one_commit_or_one_held_partition_concerns_the_whole_topic() -> None:
    assert set(Coverage({}).partitions(view({"t": "1"}, {"g": COMMITTED}))) == BOTH
    assert set(Coverage({}).partitions(view({"t": "1", "u": "2"}, {"g": HOLDS}))) == BOTH


def test_an_expected_group_is_concerned_before_it_exists() -> None:
    assert set(Coverage({"g": ["t"]}).partitions(view({"t": "1"}, {}))) == BOTH


def test_a_topic_made_anew_still_concerns_a_group_that_vanished_with_the_old_one() -> None:
    coverage = Coverage({})
    list(coverage.partitions(view({"t": "1"}, {"g": COMMITTED})))
    assert set(coverage.partitions(view({}, {"g": COMMITTED}))) == set()
    assert set(coverage.partitions(view({"t": "2"}, {"g": COMMITTED}))) == BOTH
    assert set(coverage.partitions(view({"t": "2"}, {"g": NOTHING}))) == BOTH
    assert set(coverage.partitions(view({"t": "2"}, {}))) == BOTH


def test_a_group_that_was_deleted_while_its_topic_stays_is_forgotten() -> None:
    coverage = Coverage({})
    list(coverage.partitions(view({"t": "1"}, {"g": COMMITTED})))
    assert set(coverage.partitions(view({"t": "1"}, {}))) == set()


def test_a_group_that_reads_the_new_topic_and_is_then_deleted_is_forgotten() -> None:
    coverage = Coverage({})
    list(coverage.partitions(view({"t": "1"}, {"g": COMMITTED})))
    list(coverage.partitions(view({"t": "2"}, {"g": HOLDS})))
    assert set(coverage.partitions(view({"t": "2"}, {}))) == set()
