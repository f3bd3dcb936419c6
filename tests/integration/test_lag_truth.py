"""Our lag against the truth: the records that a really reading consumer of the same group is given.

Each scenario is one in which tools that subtract offsets are wrong.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from ops.lag.evaluator import LagState
from ops.lag.figures import LagFigures
from ops.lag.monitor import LagMonitor
from streams.pipeline import STAGES
from tests.services import KafkaService


@dataclass
class Lab:
    """A cluster, a topic prefix and a group of one test's own."""

    bootstrap: str
    unique: str
    monitor: LagMonitor
    closing: list[Callable[[], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.admin = AdminClient({"bootstrap.servers": self.bootstrap})
        self.group = f"{self.unique}readers"

    def topic(self, name: str, partitions: int = 1, **config: str) -> str:
        topic = self.unique + name
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.admin.create_topics([NewTopic(topic, partitions, 1, config=settings)])[topic].result(30)
        return topic

    def plain(
        self, topic: str, count: int, partition: int = 0, value: bytes | None = b"x", key: bytes | None = None
    ) -> None:
        producer = Producer({"bootstrap.servers": self.bootstrap})
        for _ in range(count):
            producer.produce(topic, value, key, partition=partition)
        assert producer.flush(30) == 0

    def transactional(self, name: str = "tx") -> Producer:
        producer = Producer({"bootstrap.servers": self.bootstrap, "transactional.id": f"{self.unique}{name}"})
        producer.init_transactions(30)
        return producer

    def commit(self, *places: tuple[str, int, int], group: str | None = None) -> None:
        held = [TopicPartition(*place) for place in places]
        answers = self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group or self.group, held)])
        for future in answers.values():
            future.result(30)

    def reading(self, group: str | None = None) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": group or self.group,
                "isolation.level": "read_committed",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
            }
        )
        self.closing.append(consumer.close)
        return consumer

    def truth(self, topic: str, partitions: int = 1, group: str | None = None) -> dict[int, list[int]]:
        """By partition: the times (ms) of the records that the group would be given now."""
        consumer = self.reading(group)
        consumer.assign([TopicPartition(topic, number) for number in range(partitions)])
        times: dict[int, list[int]] = {number: [] for number in range(partitions)}
        open_ones = set(times)
        while open_ones:
            message = consumer.poll(30)
            assert message is not None, "the broker gave nothing for 30 s"
            if message.error() is None:
                times[message.partition()].append(message.timestamp()[1])
            elif message.error().code() == KafkaError._PARTITION_EOF:
                open_ones.discard(message.partition())
        return times

    def assert_equals_truth(self, topic: str, partitions: int = 1, group: str | None = None) -> LagFigures:
        truth = self.truth(topic, partitions, group)
        figures = self.monitor.settle(20)
        ours = {lag.partition: lag for lag in figures.lags if (lag.group, lag.topic) == (group or self.group, topic)}
        assert {number: lag.lag for number, lag in ours.items()} == {n: len(times) for n, times in truth.items()}
        for number, lag in ours.items():
            if truth[number]:
                assert lag.lag_s == pytest.approx(figures.view.at - truth[number][0] / 1_000, abs=0.11)
            else:
                assert lag.lag_s == 0
        return figures


@pytest.fixture
def lab(kafka: KafkaService, unique: str) -> Iterator[Lab]:
    with LagMonitor(kafka.bootstrap_servers, topics=f"{unique}.*", groups=f"{unique}.*", recount_every_s=2) as monitor:
        lab = Lab(kafka.bootstrap_servers, unique, monitor)
        yield lab
        for close in lab.closing:
            close()


def in_transactions(producer: Producer, topic: str, sizes: list[int], partition: int = 0, commit: bool = True) -> None:
    for size in sizes:
        producer.begin_transaction()
        for _ in range(size):
            producer.produce(topic, b"x", partition=partition)
        producer.flush(30)
        if commit:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)


def test_a_partition_without_a_commit_lags_by_all_it_holds_and_markers_are_not_lag(lab: Lab) -> None:
    topic = lab.topic("four", 4)
    producer = lab.transactional()
    for number in range(4):
        in_transactions(producer, topic, [50] * 5, number)
    # 250 records and 5 markers a partition: read to the end, to 10 before it, to the last record, and never.
    lab.commit((topic, 0, 255), (topic, 1, 245), (topic, 2, 254))
    figures = lab.assert_equals_truth(topic, 4)
    assert [lag.lag for lag in sorted(figures.lags, key=lambda lag: lag.partition)] == [0, 9, 0, 250]


def test_records_of_an_open_transaction_are_not_yet_lag_nor_is_what_stands_behind_them(lab: Lab) -> None:
    topic = lab.topic("open")
    lab.plain(topic, 5)
    producer = lab.transactional()
    producer.begin_transaction()
    producer.produce(topic, b"x", partition=0)
    producer.flush(30)
    lab.plain(topic, 7)
    lab.commit((topic, 0, 2))
    assert lab.assert_equals_truth(topic).lags[0].lag == 3
    producer.commit_transaction(30)
    assert lab.assert_equals_truth(topic).lags[0].lag == 11


def test_aborted_records_are_not_lag(lab: Lab) -> None:
    topic = lab.topic("aborted")
    producer = lab.transactional()
    in_transactions(producer, topic, [3])
    lab.commit((topic, 0, 4))
    in_transactions(producer, topic, [10, 20], commit=False)
    assert lab.assert_equals_truth(topic).lags[0].lag == 0
    in_transactions(producer, topic, [2])
    assert lab.assert_equals_truth(topic).lags[0].lag == 2


def test_tombstones_are_records_to_read(lab: Lab) -> None:
    topic = lab.topic("tombstones", cleanup_policy="compact")
    lab.plain(topic, 3, key=b"a")
    lab.plain(topic, 2, key=b"a", value=None)
    lab.commit((topic, 0, 1))
    assert lab.assert_equals_truth(topic).lags[0].lag == 4


def test_what_compaction_removed_is_not_lag_although_it_was_counted_before(lab: Lab) -> None:
    topic = lab.topic(
        "compacted",
        cleanup_policy="compact",
        segment_ms="100",
        min_cleanable_dirty_ratio="0.001",
        max_compaction_lag_ms="100",
    )
    for key in range(40):
        lab.plain(topic, 5, key=str(key % 4).encode())
    lab.commit((topic, 0, 30))
    assert lab.assert_equals_truth(topic).lags[0].lag == 170
    deadline = time.monotonic() + 90
    while sum(map(len, lab.truth(topic).values())) >= 100 and time.monotonic() < deadline:
        # A segment is closed by the first record after its time.
        lab.plain(topic, 1, key=b"0")
        lab.monitor.refresh()
        lab.monitor.scan(1)
    until = time.monotonic() + 30
    while time.monotonic() < until:
        truth, ours = sum(map(len, lab.truth(topic).values())), lab.monitor.settle(10).lags[0].lag
        if truth == ours:
            break
        lab.monitor.scan(0.5)
    assert ours == truth < 100


def test_a_committed_offset_that_retention_has_passed_counts_from_the_log_start_and_says_what_was_lost(
    lab: Lab,
) -> None:
    topic = lab.topic("retention")
    lab.plain(topic, 100)
    lab.commit((topic, 0, 10))
    assert lab.assert_equals_truth(topic).lags[0].lag == 90
    lab.admin.delete_records([TopicPartition(topic, 0, 60)])
    deadline = time.monotonic() + 30
    while lab.monitor.refresh().lags[0].lag != 40 and time.monotonic() < deadline:
        lab.monitor.scan(0.2)
    assert lab.assert_equals_truth(topic).lags[0].lost == 50


def test_markers_that_retention_deleted_behind_a_commit_were_not_lost(lab: Lab) -> None:
    topic = lab.topic("markers")
    in_transactions(lab.transactional(), topic, [3])
    lab.commit((topic, 0, 3))
    assert lab.assert_equals_truth(topic).lags[0].lag == 0
    # The three records and the marker behind them, at offset 3.
    lab.admin.delete_records([TopicPartition(topic, 0, 4)])
    deadline = time.monotonic() + 30
    while (figures := lab.monitor.refresh()).view.bounds[topic, 0].log_start != 4 and time.monotonic() < deadline:
        lab.monitor.scan(0.2)
    assert figures.view.bounds[topic, 0].log_start == 4
    assert figures.lags[0].lost == 0


def test_an_offset_on_a_state_topic_is_no_lag(kafka: KafkaService, unique: str) -> None:
    state = STAGES[0].state_topic
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    if state not in admin.list_topics(timeout=30).topics:
        admin.create_topics([NewTopic(state, 1, 1)])[state].result(30)
    group = f"{unique}group"
    held = [TopicPartition(state, 0, 0)]
    for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, held)]).values():
        future.result(30)
    with LagMonitor(kafka.bootstrap_servers, groups=f"{unique}.*") as monitor:
        assert [lag for lag in monitor.settle(10).lags if lag.topic == state] == []


def test_a_deleted_topic_has_no_figures(lab: Lab) -> None:
    topic = lab.topic("deleted")
    lab.plain(topic, 10)
    lab.commit((topic, 0, 1))
    assert lab.assert_equals_truth(topic).lags[0].lag == 9
    lab.admin.delete_topics([topic])[topic].result(30)
    deadline = time.monotonic() + 30
    while lab.monitor.refresh().lags and time.monotonic() < deadline:
        lab.monitor.scan(0.2)
    assert lab.monitor.refresh().lags == ()


def test_a_topic_made_anew_counts_from_its_beginning(lab: Lab) -> None:
    topic = lab.topic("again")
    lab.plain(topic, 10)
    lab.commit((topic, 0, 10))
    assert lab.assert_equals_truth(topic).lags[0].lag == 0
    lab.admin.delete_topics([topic])[topic].result(30)
    time.sleep(1)
    lab.topic("again")
    lab.plain(topic, 25)
    figures = lab.assert_equals_truth(topic)
    assert figures.lags[0].lag == 25
    assert figures.lags[0].state is LagState.OK, "a new topic is no rewind"


def test_a_group_that_has_members_but_never_committed_lags_by_everything(lab: Lab) -> None:
    topic = lab.topic("new", 2)
    lab.plain(topic, 12, 0)
    lab.plain(topic, 8, 1)
    consumer = lab.reading()
    consumer.subscribe([topic])
    while not consumer.assignment():
        consumer.poll(0.2)
    figures = lab.assert_equals_truth(topic, 2)
    assert sorted((lag.lag, lag.owned, lag.committed) for lag in figures.lags) == [(8, True, None), (12, True, None)]
    assert figures.view.groups[lab.group].members == 1


def test_a_group_that_is_expected_lags_before_it_ever_existed(kafka: KafkaService, unique: str) -> None:
    group, topic = f"{unique}never-started", f"{unique}cases"
    with LagMonitor(
        kafka.bootstrap_servers, topics=f"{unique}.*", groups=f"{unique}.*", expected={group: [topic]}
    ) as monitor:
        lab = Lab(kafka.bootstrap_servers, unique, monitor)
        lab.topic("cases")
        lab.plain(topic, 6)
        assert lab.assert_equals_truth(topic, group=group).lags[0].committed is None


def test_a_group_at_the_end_whose_members_have_left_has_no_lag_and_is_in_order(lab: Lab) -> None:
    topic = lab.topic("idle")
    producer = lab.transactional()
    in_transactions(producer, topic, [5, 5])
    lab.commit((topic, 0, 12))
    figures = lab.assert_equals_truth(topic)
    assert (figures.lags[0].lag, figures.lags[0].state) == (0, LagState.OK)
    assert figures.view.groups[lab.group].members == 0


def test_many_groups_at_odd_places_in_a_log_of_many_small_transactions_are_all_exact(lab: Lab) -> None:
    topic = lab.topic("many")
    producer = lab.transactional()
    chance = random.Random(7)
    for _ in range(300):
        in_transactions(producer, topic, [chance.randint(1, 6)], commit=chance.random() < 0.8)
    groups = [f"{lab.unique}g{number}" for number in range(6)]
    end = lab.monitor.refresh().view.bounds[topic, 0].last_stable
    for group in groups:
        lab.commit((topic, 0, chance.randrange(end)), group=group)
    for group in groups:
        lab.assert_equals_truth(topic, group=group)
    # A group goes back to before everything that was counted.
    lab.commit((topic, 0, 0), group=groups[0])
    figures = lab.assert_equals_truth(topic, group=groups[0])
    assert next(lag.state for lag in figures.lags if lag.group == groups[0]) is LagState.REWOUND
