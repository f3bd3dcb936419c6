"""What one look at the broker sees, as a value."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass

from ops.lag.client import Partition
from ops.lag.positions import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Replicas:
    """Who holds a partition: broker ids."""

    leader: int
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedTopic:
    """A topic as it is now; a topic made anew under the same name has another id."""

    topic_id: str
    partitions: Mapping[int, Replicas]
    compacted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedGroup:
    """A consumer group: its commits, and who is in it."""

    committed: Mapping[Partition, int]
    members: int
    #: Partitions that a member holds at the moment.
    owned: Set[Partition]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerView:
    """Commits were read before the ends of the logs, so a lag computed from both is never too low."""

    #: When the commits were read: seconds since the epoch, and of the monotonic clock.
    at: float
    at_s: float
    brokers: int
    topics: Mapping[str, ObservedTopic]
    groups: Mapping[str, ObservedGroup]
    bounds: Mapping[Partition, Bounds]
