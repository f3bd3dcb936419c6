"""What people and scripts are shown."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ops.lag.evaluator import LagState
from ops.lag.figures import GroupLag
from ops.lag.table import as_mapping, as_table, duration, rate, summed

LAG = GroupLag(
    group="vigia-inference-routine",
    topic="vigia.cases.routine",
    partition=0,
    committed=1_039,
    lag=3,
    uncertain=0,
    lag_s=1.25,
    records_in=41.5,
    records_out=43.0,
    drain_s=2.0,
    state=LagState.OK,
    owned=True,
    lost=0,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (3_599, "59m59s"),
        (7_260, "2h01m"),
        (90_000, "1d"),
        (math.inf, "∞"),
    ],
)
def test_a_duration_is_short_and_rounded_once(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "0"),
        (0.04, "0"),
        (0.06, "0.1"),
        (9.94, "9.9"),
        (9.96, "10"),
        (999.4, "999"),
        (999.6, "1.0k"),
        (43_210, "43k"),
        (1e6, "1.0M"),
    ],
)
def test_a_rate_is_short_and_rounded_once(per_second: float, text: str) -> None:
    assert rate(per_second) == text


@given(st.floats(0, 1e8))
def test_every_duration_fits_its_column(seconds: float) -> None:
    assert len(duration(seconds)) <= 6


def test_a_topic_is_as_bad_as_its_worst_partition_and_as_old_as_its_oldest_record() -> None:
    parts = [LAG, replace(LAG, partition=1, lag=9, lag_s=80.0, state=LagState.STALLED, drain_s=math.inf)]
    (topic,) = summed(parts)
    assert (topic.lag, topic.lag_s, topic.state, topic.drain_s) == (12, 80.0, LagState.STALLED, math.inf)


@pytest.mark.parametrize("all_partitions", [True, False])
def test_the_table_fits_eighty_columns(all_partitions: bool) -> None:
    long = replace(
        LAG,
        group="vigia-inference-emergency",
        topic="vigia.escalations.specialist-review",
        lag=12_345_678,
        lag_s=86_399,
    )
    console = Console(width=80, no_color=True)
    with console.capture() as captured:
        console.print(as_table([long, LAG], all_partitions=all_partitions))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "12345678" in captured.get()
    assert len(lines) == 3


def test_json_has_no_infinity() -> None:
    mapping = json.loads(json.dumps(as_mapping(replace(LAG, drain_s=math.inf)), allow_nan=False))
    assert mapping["drain_s"] is None
    assert mapping["state"] == "ok"
