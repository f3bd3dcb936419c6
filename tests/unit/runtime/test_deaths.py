"""Deaths at one place are counted across owners; a life that ended properly, or got on, does not count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.runtime import deaths
from streams.runtime.deaths import MOST, Start
from streams.runtime.orders import PREFIX, SkipOrder, orders

TOPICS = ("a", "b")
#: How each owner of a partition ended, and the topics of which it had committed something by then.
LIVES = st.lists(st.tuples(st.sampled_from(["dies", "leaves"]), st.sets(st.sampled_from(TOPICS))), max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(LIVES)
def test_the_count_is_that_of_owners_that_died_where_reading_stands(lives: list[tuple[str, set[str]]]) -> None:
    positions = dict.fromkeys(TOPICS, 0)
    expected = dict.fromkeys(TOPICS, 0)
    kept: bytes | None = None
    for end, moved in lives:
        starts = deaths.begun(deaths.from_json(kept), positions)
        assert {topic: start.deaths for topic, start in starts.items()} == expected
        kept = deaths.to_json(starts)
        for topic in TOPICS:
            if topic in moved:
                positions[topic] += 1
                expected[topic] = 0
            elif end == "dies":
                expected[topic] += 1
        if end == "leaves":
            kept = deaths.to_json(deaths.left(starts, moved))


@given(st.binary() | JSON.map(lambda value: __import__("json").dumps(value).encode()))
def test_a_note_that_cannot_be_read_begins_the_count_anew(data: bytes) -> None:
    starts = deaths.begun(deaths.from_json(data), {"topic": 5})
    assert starts["topic"].offset == 5
    assert starts["topic"].deaths >= 0


def test_a_count_has_an_end() -> None:
    assert deaths.begun({"a": Start(3, MOST)}, {"a": 3}) == {"a": Start(3, MOST)}


@given(st.text(min_size=1), st.integers(min_value=0), st.text(max_size=300))
def test_an_order_comes_back_as_it_was_given(topic: str, offset: int, reason: str) -> None:
    order = SkipOrder(topic, offset, reason)
    assert list(orders({b"starts": b"{}", order.note: order.to_json()})) == [(order.note, order)]


@given(st.binary())
def test_an_order_that_cannot_be_read_is_named_and_nothing_more(data: bytes) -> None:
    ((name, _),) = orders({PREFIX + b"x": data})
    assert name == PREFIX + b"x"


@pytest.mark.parametrize("number", ["Infinity", "-Infinity", "NaN", "1e400"])
def test_a_number_that_is_none_is_no_count_and_no_order(number: str) -> None:
    assert deaths.from_json(f'{{"t":[{number},1]}}'.encode()) == {}
    note = f'{{"topic":"t","offset":{number},"reason":"r"}}'.encode()
    assert list(orders({PREFIX + b"x": note})) == [(PREFIX + b"x", None)]
