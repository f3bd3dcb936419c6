"""What is held back at a takeover, by what is known of those who had the partition before."""

from __future__ import annotations

from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime import freezes
from streams.runtime.deaths import SUSPICIOUS, Start
from streams.runtime.orders import SkipOrder
from streams.runtime.suspects import ALONE_DEATHS, BATCHES, KILLS, Traces, Window, window

TOPIC = TP("t", 0)
BATCH = 8


def held(start: Start, known: Traces | None = None, *, can_try: bool = True) -> Window | None:
    return window(TOPIC, start, known or Traces(), max_batch=BATCH, can_try=can_try)


def test_two_deaths_are_no_sign_and_three_are() -> None:
    assert held(Start(5, SUSPICIOUS)) is None
    assert held(Start(5, SUSPICIOUS + 1)) == Window(TOPIC, 5, 5 + BATCHES * BATCH)


def test_one_freeze_holds_back_what_was_in_hand_and_no_more() -> None:
    assert held(Start(5, 1), Traces(froze=(7, 9))) == Window(TOPIC, 5, 10, alone=True, for_freeze=True)
    assert held(Start(10, 1), Traces(froze=(7, 9))) is None, "it was passed"
    forged = held(Start(5, 1), Traces(froze=(5, 10**12)))
    assert forged is not None
    assert forged.end == 5 + BATCHES * BATCH


def test_a_record_that_was_tried_is_taken_up_alone_from_then_on() -> None:
    again = held(Start(5, SUSPICIOUS + 2))
    assert again is not None
    assert again.alone
    assert again.first is None


@given(st.integers(1, 20), st.integers(1, 20))
def test_it_is_laid_aside_only_for_deaths_with_nothing_else_in_hand(count: int, alone: int) -> None:
    """At 3f24925 a record that is sound in the trial killed its workers until somebody ordered it to be skipped."""
    found = held(Start(5, count), Traces(alone=Start(5, alone)))
    assert found is not None
    assert found.first == (KILLS if alone >= ALONE_DEATHS else None)
    # However often a worker died at this place with more in hand, or alone with another record.
    elsewhere = held(Start(5, count), Traces(alone=Start(4, alone)))
    assert elsewhere is None or elsewhere.first is None


def test_an_order_counts_before_all_else_and_where_nothing_can_be_tried() -> None:
    order = SkipOrder("t", 5, "why")
    found = held(Start(5, 1), Traces(order=order, alone=Start(5, 9)), can_try=False)
    assert found is not None
    assert found.first is not None
    assert (found.first.reason, found.first.detail, found.end) == ("skipped", "why", 6)
    assert held(Start(5, 9), can_try=False) is None
    assert held(Start(6, 1), Traces(order=order)) is None


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 3), st.integers(0, 99)), max_size=20))
def test_the_spans_of_what_is_in_hand_survive_the_wire(positions: list[tuple[str, int, int]]) -> None:
    found = freezes.spans(positions)
    for topic, partition, offset in positions:
        first, last = freezes.from_json(freezes.to_json(found[partition]))[topic]
        assert first <= offset <= last
    assert set(found) == {partition for _, partition, _ in positions}


@given(st.binary() | st.none())
def test_a_note_that_is_none_says_nothing(data: bytes | None) -> None:
    assert freezes.from_json(data) == {}
