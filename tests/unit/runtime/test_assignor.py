"""Partition numbers are dealt whole, evenly, and stay where they were."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime.assignor import CopartitionedAssignor, deal

members = st.dictionaries(
    st.text("abcdef", min_size=1, max_size=3), st.lists(st.integers(0, 20)), min_size=1, max_size=6
)


@given(st.sets(st.integers(0, 15)), members)
def test_every_number_has_one_owner_and_shares_differ_by_one_at_most(
    numbers: set[int], owned: dict[str, list[int]]
) -> None:
    shares = deal(numbers, owned)
    assert sorted(number for share in shares.values() for number in share) == sorted(numbers)
    sizes = [len(share) for share in shares.values()]
    assert max(sizes) - min(sizes) <= 1


@given(st.sets(st.integers(0, 15)), members)
def test_dealing_again_moves_nothing(numbers: set[int], owned: dict[str, list[int]]) -> None:
    shares = deal(numbers, owned)
    assert deal(numbers, shares) == shares


@given(st.sets(st.integers(0, 15), min_size=1), members)
def test_a_member_that_leaves_costs_no_other_member_a_number_it_keeps(
    numbers: set[int], owned: dict[str, list[int]]
) -> None:
    before = deal(numbers, owned)
    gone = sorted(before)[0]
    rest = {member: share for member, share in before.items() if member != gone}
    if rest:
        after = deal(numbers, rest)
        assert all(set(share) <= set(after[member]) for member, share in rest.items())


def test_no_members_no_shares() -> None:
    assert deal({1, 2}, {}) == {}


def test_the_same_number_of_every_topic_goes_to_the_same_member() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0, 1, 2, 3})
    metadata = CopartitionedAssignor.metadata(["gradings", "acks", "ticks"])
    assignment = CopartitionedAssignor.assign(cluster, dict.fromkeys(("w1", "w2", "w3"), metadata))
    for member in assignment.values():
        numbers = {tuple(partitions) for _, partitions in member.assignment}
        assert len(numbers) == 1


def test_without_metadata_the_partitions_found_before_joining_are_dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CopartitionedAssignor, "partitions", 3)
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: None)
    metadata = CopartitionedAssignor.metadata(["cases"])
    assert CopartitionedAssignor.assign(cluster, {"w": metadata})["w"].assignment == [("cases", [0, 1, 2])]


def test_a_claim_that_is_no_list_of_numbers_is_ignored() -> None:
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {0})
    odd = SimpleNamespace(subscription=["t"], user_data=b"\xff not json")
    assert CopartitionedAssignor.assign(cluster, {"w": odd})["w"].assignment == [("t", [0])]
