"""Every metric family of the lag exporter, declared once: name, meaning, and how it is drawn from the figures.

Names follow kafka_exporter (danielqsj/kafka_exporter) where it has one, so that stock dashboards work; ours begin
with `vigia_`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator

from ops.lag.figures import GroupLag, LagFigures
from ops.lag.metric_family import Drawn, Family, MetricSample

_PARTITION = ("topic", "partition")
_PARTITION_EXAMPLE = ("vigia.cases.routine", "0")
_GROUP = ("consumergroup", "topic", "partition")
_GROUP_EXAMPLE = ("vigia-inference-routine", "vigia.cases.routine", "0")
_SUM = ("consumergroup", "topic")
_SUM_EXAMPLE = _GROUP_EXAMPLE[:2]


def _of_group(name: str, help: str, value: float, read: Callable[[GroupLag], float | None]) -> Drawn:
    def samples(figures: LagFigures) -> Iterator[MetricSample]:
        for lag in figures.lags:
            value = read(lag)
            if value is not None:
                yield (lag.group, lag.topic, str(lag.partition)), value

    return Drawn(
        family=Family(name=name, help=help, labels=_GROUP, example=_GROUP_EXAMPLE, value=value), samples=samples
    )


def _summed(name: str, help: str, value: float, read: Callable[[GroupLag], float | None]) -> Drawn:
    def samples(figures: LagFigures) -> Iterable[MetricSample]:
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for lag in figures.lags:
            sums[lag.group, lag.topic] += read(lag) or 0
        return sums.items()

    return Drawn(family=Family(name=name, help=help, labels=_SUM, example=_SUM_EXAMPLE, value=value), samples=samples)


def _of_partition(
    name: str, help: str, value: float, read: Callable[[LagFigures], Iterable[tuple[tuple[str, int], float]]]
) -> Drawn:
    def samples(figures: LagFigures) -> Iterator[MetricSample]:
        for (topic, partition), offset in read(figures):
            yield (topic, str(partition)), offset

    return Drawn(
        family=Family(name=name, help=help, labels=_PARTITION, example=_PARTITION_EXAMPLE, value=value), samples=samples
    )


def _replicas(figures: LagFigures, attribute: str) -> Iterator[tuple[tuple[str, int], float]]:
    for name, topic in figures.view.topics.items():
        for partition, held in topic.partitions.items():
            yield (name, partition), getattr(held, attribute)


def _under_replicated(figures: LagFigures) -> Iterator[tuple[tuple[str, int], float]]:
    for name, topic in figures.view.topics.items():
        for partition, held in topic.partitions.items():
            yield (name, partition), float(held.in_sync < held.replicas)


def _members(figures: LagFigures) -> Iterator[MetricSample]:
    """Groups that are expected and do not exist have no members either."""
    for name in dict.fromkeys([*figures.view.groups, *(lag.group for lag in figures.lags)]):
        group = figures.view.groups.get(name)
        yield (name,), group.members if group is not None else 0


DRAWN: tuple[Drawn, ...] = (
    Drawn(
        family=Family(name="kafka_brokers", help="Brokers in the cluster.", value=3),
        samples=lambda figures: [((), figures.view.brokers)],
    ),
    Drawn(
        family=Family(
            name="kafka_topic_partitions",
            help="Partitions of the topic.",
            labels=("topic",),
            example=_PARTITION_EXAMPLE[:1],
            value=4,
        ),
        samples=lambda figures: [((name,), len(topic.partitions)) for name, topic in figures.view.topics.items()],
    ),
    _of_partition(
        "kafka_topic_partition_current_offset",
        "High watermark: the offset that the next record will get.",
        1042,
        lambda figures: ((partition, bounds.high_watermark) for partition, bounds in figures.view.bounds.items()),
    ),
    _of_partition(
        "kafka_topic_partition_oldest_offset",
        "Log start: the first offset that the log still holds.",
        0,
        lambda figures: ((partition, bounds.log_start) for partition, bounds in figures.view.bounds.items()),
    ),
    _of_partition(
        "vigia_topic_partition_stable_offset",
        "Last stable offset: below it nothing waits for an open transaction. read_committed consumers stop there.",
        1042,
        lambda figures: ((partition, bounds.last_stable) for partition, bounds in figures.view.bounds.items()),
    ),
    _of_partition(
        "kafka_topic_partition_replicas",
        "Replicas that the partition should have.",
        3,
        lambda f: _replicas(f, "replicas"),
    ),
    _of_partition(
        "kafka_topic_partition_in_sync_replica",
        "Replicas in sync with the leader.",
        3,
        lambda f: _replicas(f, "in_sync"),
    ),
    _of_partition(
        "kafka_topic_partition_under_replicated_partition",
        "1 when fewer replicas are in sync than there should be.",
        0,
        _under_replicated,
    ),
    _of_group(
        "kafka_consumergroup_current_offset",
        "Committed offset: the next record that the group will read. Absent where it never committed.",
        1039,
        lambda lag: lag.committed,
    ),
    _summed(
        "kafka_consumergroup_current_offset_sum",
        "Sum of the committed offsets of a topic.",
        4156,
        lambda lag: lag.committed,
    ),
    _of_group(
        "kafka_consumergroup_lag",
        "Readable records that the group has not read. Transaction markers, aborted and compacted records are none; "
        "a partition without a commit lags by all it holds.",
        3,
        lambda lag: lag.lag,
    ),
    _summed(
        "kafka_consumergroup_lag_sum",
        "Sum over the partitions of a topic of kafka_consumergroup_lag.",
        12,
        lambda lag: lag.lag,
    ),
    Drawn(
        family=Family(
            name="kafka_consumergroup_members",
            help="Members of the group.",
            labels=("consumergroup",),
            example=_GROUP_EXAMPLE[:1],
            value=2,
        ),
        samples=_members,
    ),
    _of_group(
        "vigia_consumergroup_lag_uncertain_records",
        "By how much kafka_consumergroup_lag may be too high at this moment; it is never too low. "
        "0 where a group stands still.",
        0,
        lambda lag: lag.uncertain,
    ),
    _of_group(
        "vigia_consumergroup_lag_seconds",
        "Age of the oldest record that the group has not read, by its timestamp. 0 when there is none.",
        1.25,
        lambda lag: lag.lag_s,
    ),
    _of_group(
        "vigia_consumergroup_records_in_per_second",
        "Readable records that arrive, over about 22 s.",
        41.5,
        lambda lag: lag.records_in,
    ),
    _of_group(
        "vigia_consumergroup_records_out_per_second",
        "Records that the group finishes, over about 22 s.",
        43.0,
        lambda lag: lag.records_out,
    ),
    _of_group(
        "vigia_consumergroup_drain_seconds",
        "Time until nothing is left at these rates. 0 without lag, +Inf when the lag does not shrink.",
        2,
        lambda lag: lag.drain_s,
    ),
    _of_group(
        "vigia_consumergroup_state",
        "0 ok, 1 warning (the lag never shrinks), 2 stalled (held, but does not move), 3 stopped (nobody reads), "
        "4 rewound (the committed offset went back).",
        0,
        lambda lag: int(lag.state),
    ),
    _of_group(
        "vigia_consumergroup_partition_owned",
        "1 when a member of the group holds the partition.",
        1,
        lambda lag: float(lag.owned),
    ),
    _of_group(
        "vigia_consumergroup_lost_offsets",
        "Offsets that retention deleted before the group read them.",
        0,
        lambda lag: lag.lost,
    ),
)

UP = Family(
    name="vigia_lag_exporter_up",
    help="1 when the broker answered and the figures are fresh; all others vanish at 0.",
    value=1,
)
AGE = Family(name="vigia_lag_exporter_figures_age_seconds", help="How old the figures of this answer are.", value=0.42)
REFRESH = Family(name="vigia_lag_exporter_refresh_seconds", help="How long the latest refresh took.", value=0.21)
UNCOUNTED = Family(
    name="vigia_lag_exporter_uncounted_offsets",
    help="Offsets not yet looked at: lags are upper bounds by so much (a large backlog right after the start).",
    value=0,
)
GROUPS_LEFT_OUT = Family(
    name="vigia_lag_exporter_groups_left_out",
    help="Groups that --groups asks for and that are not looked at, being more than --max-groups.",
    value=0,
)
PAIRS_LEFT_OUT = Family(
    name="vigia_lag_exporter_partitions_left_out",
    help="Pairs of group and partition that are not served, being too many. The pipeline's own come first.",
    value=0,
)
REFRESHES = Family(
    name="vigia_lag_exporter_refreshes_total", help="Refreshes since the start.", value=3600, kind="counter"
)
FAILURES = Family(
    name="vigia_lag_exporter_refresh_failures_total",
    help="Refreshes that failed because the broker did not answer.",
    value=0,
    kind="counter",
)

#: Everything there is, in the order of the documentation.
FAMILIES: tuple[Family, ...] = (
    *(drawn.family for drawn in DRAWN),
    UP,
    AGE,
    REFRESH,
    UNCOUNTED,
    GROUPS_LEFT_OUT,
    PAIRS_LEFT_OUT,
    REFRESHES,
    FAILURES,
)
