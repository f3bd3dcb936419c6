"""A synthetic case on its way, as a fold over what happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ops.monitoring.canary import STEPS, Journeys


def test_a_case_is_through_when_every_step_was_seen_once() -> None:
    journeys = Journeys(deadline_s=30)
    journeys.published("a", "emergency", 100.0)
    *others, last = STEPS
    for at, step in enumerate(others):
        met = journeys.seen("a", step, 100.1 + at / 10)
        assert met is not None
        assert not met.arrived
    arrived = journeys.seen("a", last, 101.0)
    assert arrived is not None
    assert arrived.arrived
    assert journeys.seen("a", last, 101.1) is None, "a case may raise several escalations"
    assert list(journeys.lost(200.0)) == []


def test_a_case_that_misses_a_step_is_lost_once_after_its_deadline() -> None:
    journeys = Journeys(deadline_s=30)
    journeys.published("a", "routine", 100.0)
    journeys.seen("a", "grading", 100.3)
    assert list(journeys.lost(130.0)) == []
    assert [(lost.case_id, list(lost.seen)) for lost in journeys.lost(130.1)] == [("a", ["grading"])]
    assert list(journeys.lost(131.0)) == []
    assert journeys.seen("a", "inference", 131.0) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["published", *STEPS]), st.floats(0, 100)), max_size=40))
def test_every_case_is_either_through_lost_or_under_way(happened: list[tuple[int, str, float]]) -> None:
    journeys = Journeys(deadline_s=1)
    published: set[str] = set()
    through: set[str] = set()
    for number, what, at_s in happened:
        case_id = str(number)
        if what == "published":
            if case_id not in published:
                published.add(case_id)
                journeys.published(case_id, "emergency", at_s)
        elif (journey := journeys.seen(case_id, what, at_s)) is not None and journey.arrived:
            through.add(case_id)
    assert through | {lost.case_id for lost in journeys.lost(1_000.0)} == published
