"""Which transactions count as left open, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.pipeline import STAGES
from streams.runtime.strangers import Ends, HeldUp, is_ours

HERE, THERE = TP("cases", 0), TP("cases", 1)
LONGEST_S = 2.5


def looks(*seen: tuple[float, Mapping[TP, Ends]]) -> list[dict[TP, Ends]]:
    held_up = HeldUp(LONGEST_S)
    return [held_up.look(ends, now) for now, ends in seen]


def test_what_stays_open_is_found_once_it_was_open_for_too_long() -> None:
    at = Ends(stable=5, written=6)
    assert looks((0.0, {HERE: at}), (2.0, {HERE: at}), (2.5, {HERE: at})) == [{}, {}, {HERE: at}]


def test_what_had_begun_by_then_is_as_old_and_no_later_one() -> None:
    first, later = Ends(stable=5, written=6), Ends(stable=5, written=900)
    assert looks((0.0, {HERE: first}), (3.0, {HERE: later}))[-1] == {HERE: first}


def test_a_stable_end_that_moves_on_is_nobodys_fault() -> None:
    moving = [(float(at), {HERE: Ends(stable=at, written=at + 10)}) for at in range(20)]
    assert not any(looks(*moving))


def test_a_partition_that_was_whole_or_given_away_meanwhile_begins_anew() -> None:
    open_, whole = Ends(stable=5, written=6), Ends(stable=6, written=6)
    assert not any(looks((0.0, {HERE: open_}), (2.0, {HERE: whole}), (3.0, {HERE: open_})))
    assert not any(looks((0.0, {HERE: open_}), (2.0, {THERE: whole}), (3.0, {HERE: open_})))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30))
def test_nothing_is_found_before_its_time(steps: list[tuple[int, int]]) -> None:
    """Every partition that is found has had the same stable end, below what was written, for the whole time."""
    held_up = HeldUp(LONGEST_S)
    seen: list[tuple[float, Ends]] = []
    for number, (stable, more) in enumerate(steps):
        seen.append((float(number), Ends(stable, stable + more)))
        found = held_up.look({HERE: seen[-1][1]}, float(number))
        if found:
            since = [ends for at, ends in seen if at >= number - LONGEST_S]
            assert {ends.stable for ends in since} == {stable}
            assert all(ends.stable < ends.written for ends in since)


@pytest.mark.parametrize("group", [*(stage.group for stage in STAGES), "counting"])
def test_the_ids_of_the_stages_are_ours_and_those_of_the_own_group(group: str) -> None:
    assert is_ours(f"{group}-0", "counting")
    assert is_ours(f"{group}-31", "counting")
    assert not is_ours(f"{group}-x", "counting")


@pytest.mark.parametrize("name", ["", "feed-0", "vigia-", "vigia-0", "vigia-grading", "not-vigia-grading-0", "é-1"])
def test_others_are_not(name: str) -> None:
    assert not is_ours(name, "counting")
