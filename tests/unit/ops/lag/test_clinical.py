"""Who waits, and what nobody has answered: folds over the records of the topics."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lag.clinical.figures import LANES, PRIORITIES
from ops.lag.clinical.unanswered import Escalations, Unanswered
from ops.lag.clinical.waiting import WaitingQueue
from schemas.envelope.audit import ACCEPTED
from schemas.events import Lane, ReviewPriority
from streams.clinical.acknowledgements import AckCode


@given(st.lists(st.tuples(st.sampled_from(LANES), st.integers(0, 1_000))), st.integers(0, 60), st.integers(1, 50))
def test_the_oldest_that_waits_is_known_however_long_the_queue(
    cases: list[tuple[str, int]], position: int, kept: int
) -> None:
    queue = WaitingQueue(kept)
    for offset, (lane, published_ms) in enumerate(cases):
        queue.add(offset, lane, published_ms)
    if queue.passed(position):
        queue.clear()
        for offset, (lane, published_ms) in enumerate(cases[position:], start=position):
            queue.add(offset, lane, published_ms)
    for wanted in LANES:
        waiting = [published_ms for lane, published_ms in cases[position:] if lane == wanted]
        assert (queue.oldest_ms(wanted) is None) == (not waiting)
        if len(waiting) <= kept:
            assert queue.count(wanted) >= len(waiting)
        if waiting and kept >= len(cases):
            assert (queue.oldest_ms(wanted), queue.count(wanted)) == (min(waiting), len(waiting))


ONE = Unanswered(
    escalation_id="e1",
    case_id="c1",
    type="emergency",
    priority="emergency",
    role="medical_team",
    level=0,
    raised_ms=1_000,
    respond_by_ms=301_000,
)


def test_an_escalation_is_unanswered_until_an_acknowledgement_counts() -> None:
    escalations = Escalations()
    escalations.raised(ONE)
    escalations.audited("acknowledgement", "role_too_low", "e1")
    assert list(escalations) == [ONE]
    escalations.audited("acknowledgement", "acknowledged", "e1")
    assert list(escalations) == []


def test_an_answer_that_is_read_before_its_escalation_counts_too() -> None:
    escalations = Escalations()
    escalations.audited("acknowledgement", "resolved", "e1")
    escalations.raised(ONE)
    assert len(escalations) == 0


def test_the_next_role_has_a_new_deadline_but_the_patient_has_waited_since_the_first() -> None:
    escalations = Escalations()
    escalations.raised(ONE)
    escalations.raised(replace(ONE, level=1, raised_ms=302_000, respond_by_ms=422_000))
    escalations.raised(ONE)
    assert list(escalations) == [replace(ONE, level=1, raised_ms=1_000, respond_by_ms=422_000)]


def test_a_more_pressing_demand_takes_the_place_of_the_standing_one() -> None:
    escalations = Escalations()
    escalations.raised(ONE)
    pressing = replace(ONE, escalation_id="e2", raised_ms=5_000, respond_by_ms=100_000)
    escalations.raised(pressing)
    assert [one.escalation_id for one in escalations] == ["e2"]
    escalations.audited("acknowledgement", "acknowledged", "e1")
    assert len(escalations) == 1
    escalations.audited("acknowledgement", "acknowledged", "e2")
    assert len(escalations) == 0


def test_what_was_taken_up_and_not_resolved_waits_again_whichever_topic_is_read_first() -> None:
    for event_first in (True, False):
        escalations = Escalations()
        escalations.raised(replace(ONE, level=0))
        escalations.audited("acknowledgement", "acknowledged", ONE.escalation_id, 0)
        assert len(escalations) == 0
        escalations.raised(replace(ONE, level=0))
        assert len(escalations) == 0, "the answer was read before its escalation"
        if event_first:
            escalations.raised(replace(ONE, level=2))
        escalations.audited("escalation", "unresolved:emergency:2", None)
        if not event_first:
            escalations.raised(replace(ONE, level=2))
        assert [each.level for each in escalations] == [2]
        assert dict(escalations.unresolved) == {"emergency": 1}
        escalations.audited("acknowledgement", "resolved", ONE.escalation_id, 2)
        escalations.raised(replace(ONE, level=3))
        assert len(escalations) == 0


def test_missed_deadlines_are_counted_by_type_and_nothing_else_is() -> None:
    escalations = Escalations()
    for outcome in (
        "deadline_missed:emergency:1",
        "deadline_missed:emergency:2",
        "escalated:emergency:0",
        "superseded:x:1",
    ):
        escalations.audited("escalation", outcome, None)
    escalations.audited("grading", "deadline_missed:emergency:1", None)
    assert dict(escalations.missed) == {"emergency": 2}


events = st.lists(
    st.tuples(st.sampled_from(["raise", "answer"]), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)),
    max_size=40,
)


@given(events)
def test_an_id_of_another_case_on_a_forged_event_stops_nobody_who_watches(
    happened: list[tuple[str, int, int, int]],
) -> None:
    escalations = Escalations()
    for kind, number, case, level in happened:
        if kind == "raise":
            escalations.raised(replace(ONE, escalation_id=f"e{number}", case_id=str(case), level=level))
        else:
            escalations.audited("acknowledgement", "acknowledged", f"e{number}")
            assert f"e{number}" not in {one.escalation_id for one in escalations}
        assert len({(one.case_id, one.type) for one in escalations}) == len(escalations) <= 3


@pytest.mark.parametrize("level", ["²", "٣", "-1", "9" * 5_000, "", "x"])
def test_an_answer_whose_level_is_no_number_counts_as_one_of_an_earlier_version(level: str) -> None:
    escalations = Escalations()
    escalations.raised(replace(ONE, level=3))
    entry = {"stage": "acknowledgement", "outcome": "acknowledged", "source_event_id": "e1", "attributes": {}}
    escalations.take_entry({**entry, "attributes": {"level": level}})
    assert list(escalations) == []


def test_what_somebody_writes_for_a_type_becomes_no_label_of_a_metric() -> None:
    escalations = Escalations()
    for number in range(1_000):
        escalations.audited("escalation", f"deadline_missed:María {number}:0", None)
    assert dict(escalations.missed) == {"unknown": 1_000}


@given(events)
def test_only_what_is_open_is_remembered(happened: list[tuple[str, int, int, int]]) -> None:
    escalations = Escalations()
    answered: set[str] = set()
    for kind, number, case, level in happened:
        escalation_id = f"{case}/{number}"
        if kind == "raise":
            escalations.raised(replace(ONE, escalation_id=escalation_id, case_id=str(case), level=level))
        else:
            escalations.audited("acknowledgement", "acknowledged", escalation_id)
            answered.add(escalation_id)
        assert len(escalations) <= 3
        assert not answered & {one.escalation_id for one in escalations}


def test_what_this_package_repeats_of_the_pipeline_is_still_true() -> None:
    assert set(LANES) == {lane.value for lane in Lane} - {"unknown"}
    assert set(PRIORITIES) == {priority.value for priority in ReviewPriority} - {"unknown"}
    assert {AckCode.ACKNOWLEDGED, AckCode.RESOLVED, AckCode.ALREADY_ACKNOWLEDGED} == {
        AckCode(code) for code in ACCEPTED
    }
