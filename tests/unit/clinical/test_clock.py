"""An escalation climbs the ladder until somebody answers, and never faster than time does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from schemas import ids
from schemas.events import EscalationEvent, EscalationType
from streams.clinical.clock import (
    MAX_TICK_LEAD,
    MergeCode,
    advance,
    merge,
    on_tick,
)
from streams.clinical.escalations import OpenEscalation
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import LADDER, START, UNRESOLVED, answer, grading, judged, open_request, opened

MINUTE = timedelta(minutes=1)


def tick(state: OpenEscalation, after: timedelta) -> tuple[OpenEscalation, tuple[EscalationEvent, ...]]:
    return on_tick(state, START + after, event_id=ids.escalation_event_id, unresolved=UNRESOLVED)


def test_an_escalation_opens_at_level_0_with_everything_a_clinician_needs() -> None:
    graded = grading(decision("stage_3", 0.65, {"diabetes": True}))
    states = {request.type: open_request(request, graded, START) for request in graded.escalations}
    review = states[EscalationType.SPECIALIST_REVIEW]
    event = review.event
    assert (event.level, event.role, event.raised_at) == (0, "nurse_specialist", START)
    assert event.respond_by == START + 30 * MINUTE
    assert event.event_id == ids.escalation_event_id(review.escalation_id, 0)
    assert event.source_event_id == graded.event_id
    assert [reason.code for reason in event.reasons] == ["class_stage_3", "diabetes_specialist"]
    assert [reason.code for reason in states[EscalationType.HUMAN_REVIEW].event.reasons] == [
        "class_stage_3",
        "second_look",
    ]
    assert (event.recommendations, event.warnings) == (graded.recommendations, graded.warnings)
    assert event.image == graded.image
    assert "decision support" in event.disclaimer.en


def test_nothing_happens_before_the_deadline_and_one_raise_at_it() -> None:
    state = opened()
    assert tick(state, 30 * MINUTE - timedelta(microseconds=1)) == (state, ())
    raised, events = tick(state, 30 * MINUTE)
    assert [(event.level, event.role) for event in events] == [(1, "wound_care_specialist")]
    assert events[0] == raised.event
    assert events[0].respond_by == START + 40 * MINUTE
    assert tick(raised, 30 * MINUTE) == (raised, ())


def test_nobody_answering_climbs_to_the_supervisor_and_asks_again_there() -> None:
    state, seen = opened(), []
    for minute in range(120):
        state, events = tick(state, minute * MINUTE)
        seen += [(minute, event.level, event.role) for event in events]
    assert seen == [
        (30, 1, "wound_care_specialist"),
        (40, 2, "attending_physician"),
        (50, 3, "clinical_supervisor"),
        (60, 4, "clinical_supervisor"),
        (70, 5, "clinical_supervisor"),
        (80, 6, "clinical_supervisor"),
        (90, 7, "clinical_supervisor"),
        (100, 8, "clinical_supervisor"),
        (110, 9, "clinical_supervisor"),
    ]


def test_every_level_has_an_id_of_its_own_and_keeps_that_of_the_escalation() -> None:
    state, events = opened(), []
    for minute in range(0, 120, 10):
        state, raised = tick(state, minute * MINUTE)
        events += raised
    assert len({event.event_id for event in events}) == len(events)
    assert {event.escalation_id for event in events} == {state.escalation_id}


def test_what_was_missed_while_everything_was_down_fires_once_and_the_next_role_has_its_whole_time() -> None:
    raised, events = tick(opened(), timedelta(days=3))
    assert [event.level for event in events] == [1]
    assert raised.event.respond_by == START + timedelta(days=3) + 10 * MINUTE


def test_a_tick_of_the_past_changes_nothing() -> None:
    raised, _ = tick(opened(), 30 * MINUTE)
    assert tick(raised, 5 * MINUTE) == (raised, ())


def test_time_never_goes_back_and_a_tick_from_the_future_is_not_believed() -> None:
    assert advance(None, START, START) == START
    assert advance(START, START - MINUTE, START) == START
    assert advance(START, START + 10 * timedelta(seconds=1), START) == START + timedelta(seconds=10)
    assert advance(START, START + timedelta(days=365), START) == START + MAX_TICK_LEAD


def test_the_first_demand_of_a_case_opens() -> None:
    state = opened()
    assert merge(None, state, event_id=ids.escalation_event_id) == (MergeCode.OPENED, state)


def test_the_same_demand_again_changes_nothing() -> None:
    raised, _ = tick(opened(), 30 * MINUTE)
    assert merge(raised, opened(), event_id=ids.escalation_event_id) == (MergeCode.MERGED, raised)


def test_a_demand_that_is_no_more_pressing_leaves_the_standing_one() -> None:
    standing, later = opened(), opened(at=START + MINUTE, number=1)
    assert merge(standing, later, event_id=ids.escalation_event_id) == (MergeCode.MERGED, standing)


def test_a_more_pressing_demand_takes_over_on_the_rung_already_reached() -> None:
    standing = opened(decision("unstageable"))
    standing, _ = tick(standing, timedelta(hours=2))
    assert (standing.event.level, standing.reescalate_every_s) == (1, 1800)
    new = opened(decision("stage_4"), at=START + timedelta(hours=2), number=1)
    code, state = merge(standing, new, event_id=ids.escalation_event_id)
    assert code is MergeCode.SUPERSEDED
    assert state.escalation_id == new.escalation_id
    assert (state.event.level, state.event.role) == (1, "wound_care_specialist")
    assert state.event.event_id == ids.escalation_event_id(new.escalation_id, 1)
    assert state.event.respond_by == START + timedelta(hours=2, minutes=5)
    assert state.reescalate_every_s == 120


def test_a_more_pressing_demand_never_gives_more_time_than_the_standing_one_had() -> None:
    standing = opened(decision("dtpi"))
    new = opened(decision("stage_4"), at=START + timedelta(hours=1, minutes=59), number=1)
    _, state = merge(standing, new, event_id=ids.escalation_event_id)
    assert state.event.respond_by == standing.event.respond_by


@pytest.mark.parametrize(("stage", "code"), [("stage_3", MergeCode.MERGED), ("stage_4", MergeCode.SUPERSEDED)])
def test_what_a_person_already_looks_at_is_asked_again_only_when_it_is_more_pressing(
    stage: str, code: MergeCode
) -> None:
    standing = replace(opened(), acknowledged_at=START, acknowledged_role=LADDER[0])
    new = opened(decision(stage), at=START + MINUTE, number=1)
    became, state = merge(standing, new, event_id=ids.escalation_event_id)
    assert became is code
    assert state == (standing if code is MergeCode.MERGED else new)


def test_a_system_error_climbs_a_ladder_of_its_own() -> None:
    state = opened(decision("unknown"), "system_error")
    assert state.event.role == "admin"
    raised, _ = tick(state, timedelta(hours=1))
    assert raised.event.role == "clinical_supervisor"


def test_who_takes_it_up_has_their_time_and_then_the_role_above_is_asked() -> None:
    within = timedelta(seconds=opened().resolve_within_s)
    state = judged(opened(), answer(opened(), LADDER[1], at=START)).state
    assert state is not None
    assert state.resolve_by == START + within
    assert tick(state, within - timedelta(microseconds=1)) == (state, ())
    raised, events = tick(state, within)
    (event,) = events
    # The specialist took it up at level 0: it is asked of the role above the specialist, not of the specialist.
    assert (event.level, event.role) == (2, LADDER[2])
    assert event.reasons[-1] == UNRESOLVED
    assert event.respond_by == event.raised_at + within
    assert not raised.acknowledged
    assert tick(raised, within) == (raised, ())
    # It repeats at the same interval, and says its reason once.
    again, (event,) = tick(raised, 2 * within)
    assert (event.level, event.role, event.respond_by) == (3, LADDER[3], event.raised_at + within)
    assert [reason.code for reason in event.reasons].count(UNRESOLVED.code) == 1
    assert judged(again, answer(again, LADDER[3], at=event.raised_at, action="resolve")).state is None


def test_an_escalation_is_not_put_off_by_taking_it_up_again() -> None:
    first = judged(opened(), answer(opened(), LADDER[0], at=START)).state
    assert first is not None
    again = judged(first, answer(first, LADDER[2], at=START + timedelta(hours=3), number=1)).state
    assert again == first
