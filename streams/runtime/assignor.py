"""Which worker gets which partitions.

A stage that joins topics keeps one state per partition, so the same partition of every topic must go to the same
worker. aiokafka's round robin, which Faust uses for apps without tables, deals all topics' partitions like cards, and
keeps the same ones together only by luck (with three workers and four partitions it does not). This assignor gives
whole partitions, the same of every topic, and leaves each where it was when it can: every move costs a state restore.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import ClassVar

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


def share_out(partitions: Iterable[int], owned: Mapping[str, Iterable[int]]) -> dict[str, list[int]]:
    """Share partitions among members as evenly as can be, moving as few as needed.

    `owned` maps each member to the partitions it had before (stale or doubled claims are ignored). Deterministic.
    """
    members = sorted(owned)
    if not members:
        return {}
    left = set(partitions)
    least, extra = divmod(len(left), len(members))
    shares: dict[str, list[int]] = {}
    # Those who hold most keep the larger shares, so that nothing moves for the sake of rounding.
    claims: dict[str, list[int]] = {}
    taken: set[int] = set()
    for member in members:
        claims[member] = sorted(claim for claim in set(owned[member]) if claim in left and claim not in taken)
        taken.update(claims[member])
    for member in sorted(members, key=lambda name: (-len(claims[name]), name)):
        allowed = least + (1 if extra > 0 else 0)
        kept = claims[member][:allowed]
        if len(kept) > least:
            extra -= 1
        shares[member] = kept
        left.difference_update(kept)
    for partition in sorted(left):
        member = min(members, key=lambda name: (len(shares[name]), name))
        shares[member].append(partition)
    return {member: sorted(share) for member, share in shares.items()}


class CopartitionedAssignor(AbstractPartitionAssignor):  # type: ignore[misc]
    """Group assignor (consumer protocol v0) that gives each member the same partitions of every topic, sticky."""

    name = "vigia-copartitioned"
    version = 0
    #: Partitions of every topic, as the worker found them before it joined. aiokafka may hold an assignment before it
    #: has metadata again (a broker that has just come back), and would then give nobody anything.
    partition_count: ClassVar[int] = 0
    #: The partitions this process held last; its claim at the next rebalance. A worker process runs one consumer.
    _held: tuple[int, ...] = ()

    @classmethod
    def assign(
        cls, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """Assignment of every subscribed topic's partitions; called on the group's leader."""
        topics = sorted({topic for metadata in members.values() for topic in metadata.subscription})
        existing = {topic: set(cluster.partitions_for_topic(topic) or range(cls.partition_count)) for topic in topics}
        partitions = set().union(*existing.values()) if existing else set()
        shares = share_out(partitions, {member: _claims(metadata.user_data) for member, metadata in members.items()})
        return {
            member: ConsumerProtocolMemberAssignment(
                cls.version,
                [(topic, [partition for partition in share if partition in existing[topic]]) for topic in topics],
                b"",
            )
            for member, share in shares.items()
        }

    @classmethod
    def metadata(cls, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member sends to the leader: its topics and the partitions it holds."""
        return ConsumerProtocolMemberMetadata(cls.version, list(topics), json.dumps(cls._held).encode())

    @classmethod
    def on_assignment(cls, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Remember what was assigned, as the claim for the next time."""
        cls._held = tuple(sorted({partition for _, partitions in assignment.assignment for partition in partitions}))


def _claims(user_data: bytes | None) -> list[int]:
    try:
        claims = json.loads(user_data or b"[]")
    except (ValueError, RecursionError):
        return []
    return [claim for claim in claims if isinstance(claim, int)] if isinstance(claims, list) else []
