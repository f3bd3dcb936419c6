"""Positions, rates and time to drain, as functions of values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lag.positions import Bounds, lost_offsets, next_read, offset_distance
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
