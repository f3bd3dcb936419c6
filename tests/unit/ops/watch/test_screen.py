"""The screen: readable at 80 columns, and the same facts as JSON."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from ops.lag.clinical.figures import LANES, STEPS, ClinicalFigures, Waiting
from ops.lag.clinical.unanswered import Unanswered
from ops.lag.evaluator import LagState
from ops.watch.screen import BAR_WIDTH, SPARK_WIDTH, bar, compact, draw, sparkline
from ops.watch.snapshot import Snapshot, StageSummary, as_json
from tests.unit.ops.lag.test_table import LAG

NOW = 1_764_000_000.0
ESCALATION = Unanswered(
    escalation_id="0f8fad5b-d9cb-469f-a165-70867728950e",
    case_id="7c9e6679-7425-40de-944b-e07fc1f90ae7",
    type="emergency",
    priority="emergency",
    role="attending_physician",
    level=2,
    raised_ms=int((NOW - 400) * 1_000),
    respond_by_ms=int((NOW + 75) * 1_000),
)
SNAPSHOT = Snapshot(
    at=NOW,
    trouble="",
    brokers=3,
    stages=(
        StageSummary(
            group="vigia-inference-emergency",
            members=0,
            total=replace(
                LAG, lag=123_456_789, lag_s=86_399.0, records_in=123_456.0, state=LagState.STALLED, drain_s=math.inf
            ),
            history=(0, 5, 900),
        ),
        StageSummary(group="vigia-grading", members=2, total=LAG, history=(0, 0, 0)),
    ),
    clinical=ClinicalFigures(
        at_s=0.0,
        at=NOW,
        complete=True,
        waiting=tuple(Waiting(step=s, lane=lane, cases=12_345, oldest_s=99_999.0) for s in STEPS for lane in LANES),
        unanswered=tuple(
            replace(ESCALATION, respond_by_ms=ESCALATION.respond_by_ms + 1_000 * i) for i in range(-100, 0, 10)
        ),
        missed={"emergency": 1},
    ),
)


def text(snapshot: Snapshot, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), no_color=True)
    with console.capture() as captured:
        console.print(draw(snapshot))
    return captured.get()


def test_everything_fits_eighty_columns_and_nothing_is_cut() -> None:
    shown = text(SNAPSHOT)
    assert max(map(len, shown.splitlines())) <= 80
    for whole in ("inference-emergency", "stalled", "123M", "23h59m", ESCALATION.escalation_id, "-25s", "and 2 more"):
        assert whole in shown


def test_a_broker_that_is_away_is_said_and_no_old_figure_is_shown() -> None:
    shown = text(Snapshot(at=NOW, trouble="the broker did not answer", brokers=0, stages=None, clinical=None))
    assert "the broker did not answer" in shown
    assert len(shown.splitlines()) == 1


def test_no_open_escalation_is_said_in_words() -> None:
    assert SNAPSHOT.clinical is not None
    calm = replace(SNAPSHOT, clinical=replace(SNAPSHOT.clinical, unanswered=()))
    assert "no escalation waits for an answer" in text(calm)


def test_json_has_the_same_facts_and_no_infinity() -> None:
    told = json.loads(json.dumps(as_json(SNAPSHOT), allow_nan=False))
    assert [stage["group"] for stage in told["stages"]] == ["vigia-inference-emergency", "vigia-grading"]
    assert told["stages"][0]["drain_s"] is None
    assert told["escalations"][0]["seconds_to_deadline"] == pytest.approx(-25)
    assert told["missed_deadlines"] == {"emergency": 1}


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_a_bar_keeps_its_width_and_shows_everything_that_is_not_zero(value: int, more: int) -> None:
    drawn = bar(value, value + more)
    assert len(drawn) <= BAR_WIDTH
    assert bool(drawn) == (value > 0)


@given(st.lists(st.integers(0, 10**9), max_size=60))
def test_a_sparkline_keeps_its_width_and_is_blank_only_for_nothing(values: list[int]) -> None:
    drawn = sparkline(values)
    assert len(drawn) <= SPARK_WIDTH
    assert bool(drawn.strip()) == any(values)


@given(st.integers(0, 10**11 - 1))
def test_a_count_fits_its_column(count: int) -> None:
    assert len(compact(count)) <= 6
