"""Which times of a case can be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from streams import topics
from streams.clinical.times import AHEAD, OLDEST, impossible

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SPANS = st.timedeltas(timedelta(days=-40_000), timedelta(days=40_000))


def test_a_case_is_as_old_at_most_as_what_is_kept_of_it() -> None:
    assert timedelta(milliseconds=topics.CLINICAL_RETENTION_MS) == OLDEST


@given(captured=SPANS, published=SPANS)
def test_a_time_is_possible_within_the_bounds_and_nowhere_else(captured: timedelta, published: timedelta) -> None:
    wrong = impossible(NOW + captured, NOW + published, NOW)
    assert (wrong is None) == (-OLDEST <= captured <= AHEAD and published <= AHEAD)


@given(captured=SPANS, published=SPANS, off=SPANS)
def test_only_the_distance_from_the_brokers_time_counts(
    captured: timedelta, published: timedelta, off: timedelta
) -> None:
    start = datetime(2200, 1, 1, tzinfo=UTC)
    assert impossible(start + off / 2 + captured, start + off / 2 + published, start + off / 2) == impossible(
        start + captured, start + published, start
    )
