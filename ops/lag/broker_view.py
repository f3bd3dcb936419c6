"""What one look at the broker sees: topics, groups and partition bounds, as values."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from ops.lag.client import Partition
from ops.lag.positions import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """The replication of a partition."""

    #: Id of the broker that leads the partition; −1 when none does.
    leader: int
    #: How many replicas there should be, and how many are in sync.
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTopic:
    """A topic as it is now; one that was deleted and created again under the same name has another id."""

    topic_id: str
    partitions: Mapping[int, Replicas]
    compacted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedGroup:
    """A consumer group: its commits, and what its members hold."""

    committed: Mapping[Partition, int]
    members: int
    #: Partitions that a member holds at the moment.
    owned: Set[Partition]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerView:
    """Groups, topics and bounds at one moment.

    Commits were read before the ends of the logs, so a lag computed from both is never too low.
    """

    #: When the commits were read: seconds since the epoch, and of the monotonic clock.
    at: float
    at_s: float
    brokers: int
    topics: Mapping[str, ObservedTopic]
    groups: Mapping[str, ObservedGroup]
    bounds: Mapping[Partition, Bounds]
    #: Groups that were not looked at, being too many (`ops.lag.selection`).
    groups_left_out: int = 0
