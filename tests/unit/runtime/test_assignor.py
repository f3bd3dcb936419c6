"""The same partitions of every topic go to one member, evenly, and stay where they were."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.assignor import CopartitionedAssignor, share_out

members = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.lists(st.integers(0, 20)), min_size=1, max_size=6
)


@given(st.sets(st.integers(0, 15)), members)
def test_every_partition_has_one_owner_and_shares_differ_by_one_at_most(
    partitions: set[int], owned: dict[str, list[int]]
) -> None:
    shares = share_out(partitions, owned)
    assert sorted(partition for share in shares.values() for partition in share) == sorted(partitions)
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@given(st.sets(st.integers(0, 15)), members)
def test_sharing_again_moves_nothing(partitions: set[int], owned: dict[str, list[int]]) -> None:
    shares = share_out(partitions, owned)
    assert share_out(partitions, shares) == shares


@given(st.sets(st.integers(0, 15), min_size=1), members)
def test_a_member_that_leaves_costs_no_other_member_a_partition_it_keeps(
    partitions: set[int], owned: dict[str, list[int]]
) -> None:
    before = share_out(partitions, owned)
    gone = sorted(before)[0]
    rest = {member: share for member, share in before.items() if member != gone}
    if rest:
        after = share_out(partitions, rest)
        assert all(set(share) <= set(after[member]) for member, share in rest.items())


def test_no_members_no_shares() -> None:
    assert share_out({1, 2}, {}) == {}


def test_the_same_partition_of_every_topic_goes_to_the_same_member() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1, 2, 3})
    metadata = CopartitionedAssignor.metadata(["gradings", "acks", "ticks"])
    assignment = CopartitionedAssignor.assign(cluster, dict.fromkeys(("w1", "w2", "w3"), metadata))
    for member in assignment.values():
        shares = {tuple(partitions) for _, partitions in member.assignment}
        assert len(shares) == 1


def test_without_metadata_the_partitions_found_before_joining_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CopartitionedAssignor, "partition_count", 3)
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: None)
    metadata = CopartitionedAssignor.metadata(["cases"])
    assert CopartitionedAssignor.assign(cluster, {"w": metadata})["w"].assignment == [("cases", [0, 1, 2])]


@pytest.mark.parametrize("claims", [b"\xff not json", b"[" * 100_000], ids=["no JSON", "nested too deeply"])
def test_a_claim_that_is_no_list_of_numbers_is_ignored(claims: bytes) -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0})
    odd = SimpleNamespace(subscription=["t"], user_data=claims)
    assert CopartitionedAssignor.assign(cluster, {"w": odd})["w"].assignment == [("t", [0])]
