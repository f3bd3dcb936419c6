"""Which worker gets which partition numbers.

A stage that joins topics keeps one state for a partition *number*, so the same number of every topic must go to the
same worker. aiokafka's round robin, which Faust uses for apps without tables, deals all topics' partitions like cards
and keeps numbers together only by luck (with three workers and four partitions it does not). This one deals numbers,
and leaves a number where it was when it can: every move costs a state restore.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import ClassVar

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


def deal(numbers: Iterable[int], owned: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """Share partition numbers among members as evenly as can be, moving as few as needed.

    `owned` maps each member to the numbers it had before (stale or doubled claims are ignored). Deterministic.
    """
    members = sorted(owned)
    if not members:
        return {}
    left = set(numbers)
    least, extra = divmod(len(left), len(members))
    shares: dict[str, list[int]] = {}
    # Those who hold most keep the larger shares, so that nothing moves for the sake of rounding.
    claims: dict[str, list[int]] = {}
    taken: set[int] = set()
    for member in members:
        claims[member] = sorted(number for number in set(owned[member]) if number in left and number not in taken)
        taken.update(claims[member])
    for member in sorted(members, key=lambda name: (-len(claims[name]), name)):
        allowed = least + (1 if extra > 0 else 0)
        kept = claims[member][:allowed]
        if len(kept) > least:
            extra -= 1
        shares[member] = kept
        left.difference_update(kept)
    for number in sorted(left):
        member = min(members, key=lambda name: (len(shares[name]), name))
        shares[member].append(number)
    return {member: sorted(share) for member, share in shares.items()}


class CopartitionedAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Group assignor (consumer protocol v0) that deals whole partition numbers, sticky."""

    name = "vigia-copartitioned"
    version = 0
    #: Partitions of every topic, as the worker found them before it joined. aiokafka may hold an assignment before it
    #: has metadata again (a broker that has just come back), and would then give nobody anything.
    partitions: ClassVar[int] = 0
    #: The numbers this process held last; its claim at the next rebalance. A worker process runs one consumer.
    _held: tuple[int, ...] = ()

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assignment of every subscribed topic's partitions; called on the group's leader."""
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        partitions = {topic: set(cluster.partitions_for_topic(topic) or range(cls.partitions)) for topic in topics}
        numbers = set().union(*partitions.values()) if partitions else set()
        shares = deal(numbers, {member: _claims(metadata.user_data) for member, metadata in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version,
                [(topic, [number for number in share if number in partitions[topic]]) for topic in topics],
                b"",
            )
            for member, share in shares.items()
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member tells the leader: its topics and the numbers it holds."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), json.dumps(cls._held).encode())

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what we were given, as the claim for the next time."""
        cls._held = tuple(sorted({number for _, numbers in assignment.assignment for number in numbers}))


def _claims(user_data: bytes | None) -> list[int]:
    try:
        claims = json.loads(user_data or b"[]")
    except ValueError:
        return []
    return [number for number in claims if isinstance(number, int)] if isinstance(claims, list) else []
