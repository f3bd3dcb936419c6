"""Who may answer an escalation, and what an answer changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids
from schemas.events import StageClass
from streams.clinical.acknowledgements import CLOCKS_DIFFER, AckCode, on_acknowledgement
from streams.clinical.clock import on_tick
from streams.clinical.escalations import OpenEscalation
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import LADDER, START, UNRESOLVED, answer, judged, opened


def raised_to(level: int) -> OpenEscalation:
    state, now = opened(), START
    for _ in range(level):
        now += timedelta(hours=1)
        state, _ = on_tick(state, now, event_id=ids.escalation_event_id, unresolved=UNRESOLVED)
    return state


@pytest.mark.parametrize("role", range(4), ids=lambda index: f"answered by {LADDER[index]}")
@pytest.mark.parametrize("level", range(6), ids=lambda level: f"at level {level}")
def test_the_role_that_is_asked_or_a_higher_one_may_answer(level: int, role: int) -> None:
    state = raised_to(level)
    outcome = judged(state, answer(state, LADDER[role], at=state.event.raised_at))
    if role >= min(level, 3):
        assert (outcome.code, outcome.in_time) == (AckCode.ACKNOWLEDGED, True)
        assert outcome.state is not None
        assert outcome.state.acknowledged_role == LADDER[role]
        assert outcome.state.next_due == state.event.raised_at + timedelta(seconds=state.resolve_within_s)
    else:
        assert (outcome.code, outcome.state) == (AckCode.ROLE_TOO_LOW, state)
        assert state.event.role in outcome.refusal
        assert not outcome.accepted


def test_a_role_that_is_not_on_the_ladder_is_refused() -> None:
    state = opened()
    outcome = judged(state, answer(state, "admin"))
    assert (outcome.code, outcome.state) == (AckCode.ROLE_UNKNOWN, state)
    assert "nurse_specialist" in outcome.refusal


def test_a_nurse_cannot_answer_a_system_error() -> None:
    state = opened(decision("unknown"), "system_error")
    assert judged(state, answer(state, "nurse_specialist")).code is AckCode.ROLE_UNKNOWN
    assert judged(state, answer(state, "admin")).code is AckCode.ACKNOWLEDGED


def test_an_escalation_that_is_not_open_is_refused() -> None:
    outcome = judged(None, answer(opened(), LADDER[0]))
    assert (outcome.code, outcome.state, outcome.accepted) == (AckCode.UNKNOWN_ESCALATION, None, False)


def test_an_answer_under_another_case_is_refused() -> None:
    state = opened()
    ack = replace(answer(state, LADDER[0]), case_id=uuid4())
    assert judged(state, ack).code is AckCode.OTHER_CASE


def test_answering_twice_changes_nothing_more() -> None:
    state = opened()
    first = judged(state, answer(state, LADDER[1]))
    assert first.state is not None
    again = judged(first.state, answer(state, LADDER[2], number=1))
    assert (again.code, again.state, again.accepted) == (AckCode.ALREADY_ACKNOWLEDGED, first.state, True)


def test_a_late_answer_counts_and_is_said_to_be_late() -> None:
    state = opened()
    late = answer(state, LADDER[0], at=state.event.respond_by + timedelta(seconds=1))
    assert judged(state, late).in_time is False


@pytest.mark.parametrize("acknowledged", [False, True])
def test_resolving_ends_the_escalation_and_gives_both_stagings(acknowledged: bool) -> None:
    state = opened()
    if acknowledged:
        taken_up = judged(state, answer(state, LADDER[0])).state
        assert taken_up is not None
        state = taken_up
    outcome = judged(state, answer(state, LADDER[0], action="resolve", stage=StageClass.STAGE_2))
    assert (outcome.code, outcome.state) == (AckCode.RESOLVED, None)
    assert (outcome.model_stage, outcome.true_stage) == (StageClass.STAGE_3, StageClass.STAGE_2)
    assert outcome.in_time is (None if acknowledged else True)


def test_resolving_without_a_staging_says_nothing_about_the_model() -> None:
    state = opened()
    outcome = judged(state, answer(state, LADDER[0], action="resolve"))
    assert (outcome.code, outcome.model_stage, outcome.true_stage) == (AckCode.RESOLVED, None, None)


def test_a_lower_role_cannot_resolve_what_was_raised_above_it() -> None:
    state = raised_to(2)
    outcome = judged(state, answer(state, LADDER[1], action="resolve", stage=StageClass.NONE))
    assert (outcome.code, outcome.state, outcome.true_stage) == (AckCode.ROLE_TOO_LOW, state, None)


@given(
    said=st.timedeltas(timedelta(days=-3_000), timedelta(days=3_000)),
    arrived=st.timedeltas(timedelta(), timedelta(days=3)),
)
def test_when_an_answer_came_is_what_the_broker_says_and_what_it_says_itself_must_be_possible(
    said: timedelta, arrived: timedelta
) -> None:
    state = opened()
    stamped = state.opened_at + arrived
    outcome = on_acknowledgement(state, answer(state, LADDER[0], at=state.opened_at + said), stamped)
    if -CLOCKS_DIFFER <= said <= arrived + CLOCKS_DIFFER:
        assert (outcome.code, outcome.in_time) == (AckCode.ACKNOWLEDGED, stamped <= state.event.respond_by)
    else:
        assert (outcome.code, outcome.state, outcome.in_time) == (AckCode.TIME_IMPOSSIBLE, state, None)


def test_an_answer_of_2020_by_an_attending_physician_ends_nothing() -> None:
    state = opened(decision("stage_4"), "emergency")
    forged = answer(state, LADDER[2], at=datetime(2020, 1, 1, tzinfo=UTC), action="resolve", stage=StageClass.NONE)
    outcome = on_acknowledgement(state, forged, state.event.raised_at)
    assert (outcome.code, outcome.state, outcome.true_stage) == (AckCode.TIME_IMPOSSIBLE, state, None)


def test_an_answer_of_nobody_is_refused() -> None:
    state = opened()
    outcome = judged(state, replace(answer(state, LADDER[3]), acknowledged_by=None))
    assert (outcome.code, outcome.state) == (AckCode.NOT_IDENTIFIED, state)


def test_an_answer_given_just_before_the_next_role_was_asked_is_not_of_an_impossible_time() -> None:
    state = raised_to(3)
    given_before = answer(state, LADDER[3], at=state.event.raised_at - timedelta(minutes=30))
    assert judged(state, given_before).code is AckCode.ACKNOWLEDGED
