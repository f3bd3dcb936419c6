"""Positions, rates and time to drain, as functions of values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lag.positions import Bounds, ReadToTheEnd, lost_offsets, next_read, offset_distance
from ops.lag.rates import LagSample, drain_seconds, rate_in, rate_out

bounds = st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50)).map(
    lambda n: Bounds(log_start=n[0], last_stable=n[0] + n[1], high_watermark=n[0] + n[1] + n[2])
)


@pytest.mark.parametrize(
    ("committed", "position", "lost"),
    [
        (None, 10, 0),  # never committed: everything there is
        (10, 10, 0),
        (15, 15, 0),
        (4, 10, 6),  # retention passed it
        (25, 25, 0),  # inside the open transaction: waits
        (31, 10, 0),  # beyond the log: the topic was made anew
    ],
)
def test_a_group_reads_next_where_the_broker_would_let_it(committed: int | None, position: int, lost: int) -> None:
    log = Bounds(log_start=10, last_stable=20, high_watermark=30)
    assert next_read(committed, log) == position
    assert lost_offsets(committed, log) == lost


KEY = ("readers", "any", 0)


def test_a_marker_that_retention_deleted_behind_a_commit_was_not_lost() -> None:
    seen = ReadToTheEnd()
    seen.note(KEY, 3, Bounds(log_start=0, last_stable=5, high_watermark=5))
    assert lost_offsets(3, Bounds(log_start=5, last_stable=5, high_watermark=5), seen.until(KEY, 3)) == 0
    # Two records more came and were deleted unread.
    assert lost_offsets(3, Bounds(log_start=7, last_stable=7, high_watermark=7), seen.until(KEY, 3)) == 2
    assert seen.until(KEY, 4) == 0, "what was known of another commit says nothing"
    seen.forget([KEY])
    assert seen.until(KEY, 3) == 0


def test_a_commit_that_retention_has_passed_already_was_not_seen_to_be_at_the_end() -> None:
    seen = ReadToTheEnd()
    seen.note(KEY, 3, Bounds(log_start=9, last_stable=9, high_watermark=9))
    assert lost_offsets(3, Bounds(log_start=9, last_stable=9, high_watermark=9), seen.until(KEY, 3)) == 6


@pytest.mark.parametrize(("topic", "lost"), [("in-transactions", 0), ("plain", 1)])
def test_a_monitor_that_has_just_started_knows_that_a_marker_follows_in_what_only_transactions_write(
    topic: str, lost: int
) -> None:
    seen = ReadToTheEnd({"in-transactions"})
    log = Bounds(log_start=4, last_stable=4, high_watermark=4)
    assert lost_offsets(3, log, seen.until(("readers", topic, 0), 3)) == lost


@given(st.none() | st.integers(0, 200), bounds)
def test_the_distance_is_never_negative_and_never_more_than_the_log_holds(committed: int | None, log: Bounds) -> None:
    assert 0 <= offset_distance(next_read(committed, log), log) <= log.last_stable - log.log_start


def at(second: float, position: int, lag: int, arrived: float) -> LagSample:
    return LagSample(at_s=second, position=position, lag=lag, arrived=arrived, owned=True)


def test_rates_are_what_arrived_and_what_is_no_longer_unread() -> None:
    samples = [at(0, 0, 100, 1_000), at(5, 0, 100, 1_100), at(10, 180, 20, 1_200)]
    assert rate_in(samples) == 20
    assert rate_out(samples) == 28
    assert drain_seconds(20, 20, 28) == pytest.approx(2.5)


def test_one_sample_has_no_rate_and_a_group_that_went_back_has_read_nothing() -> None:
    assert rate_in([at(0, 0, 1, 1)]) == rate_out([at(0, 0, 1, 1)]) == rate_in([]) == 0
    assert rate_out([at(0, 50, 0, 100), at(10, 10, 40, 100)]) == 0


@pytest.mark.parametrize(
    ("lag", "rates", "seconds"), [(0, (5, 0), 0), (10, (5, 5), math.inf), (10, (5, 4), math.inf), (10, (0, 2), 5)]
)
def test_time_to_drain_is_zero_without_lag_and_infinite_when_it_does_not_shrink(
    lag: int, rates: tuple[float, float], seconds: float
) -> None:
    assert drain_seconds(lag, *rates) == seconds


@given(st.integers(0, 9), st.floats(0, 1e6), st.floats(0, 1e6))
def test_no_estimate_is_ever_nan_or_negative(lag: int, records_in: float, records_out: float) -> None:
    assert drain_seconds(lag, records_in, records_out) >= 0
