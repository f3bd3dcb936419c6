"""What later events of a case repeat is named once, and all four records have it."""

from __future__ import annotations

from dataclasses import fields

import pytest

from schemas.events import CaseEvent, EscalationEvent, GradingEvent, InferenceEvent
from schemas.events.carried import CARRIED, DECIDED, carried, carried_where_known, decided
from streams.clinical.decision import Decision
from tests.unit.schemas import samples

WAY = (CaseEvent, InferenceEvent, GradingEvent, EscalationEvent)
#: Each event has one of its own.
OWN = {"event_id"}


def names(of: type) -> set[str]:
    return {field.name for field in fields(of)}  # type: ignore[arg-type]


def test_a_field_that_all_four_records_have_is_carried_or_the_event_s_own() -> None:
    everywhere = set.intersection(*(names(record) for record in WAY))
    assert everywhere == {*CARRIED, *OWN}


def test_a_field_of_the_decision_that_gradings_and_escalations_have_is_carried_or_filtered() -> None:
    assert {*DECIDED, "reasons"} == set.intersection(names(Decision), names(GradingEvent), names(EscalationEvent))


@pytest.mark.parametrize("name", CARRIED)
def test_a_carried_field_has_one_type_on_its_whole_way(name: str) -> None:
    plans = [record.__avro__.fields[name] for record in WAY]
    assert len({(plan.kind, plan.python) for plan in plans}) == 1


def test_what_is_carried_is_taken_as_it_is() -> None:
    case = samples.CASE_EVENT
    assert carried(case) == {name: getattr(case, name) for name in CARRIED}
    assert decided(samples.GRADING_EVENT) == {name: getattr(samples.GRADING_EVENT, name) for name in DECIDED}


def test_what_an_event_lacks_comes_from_the_record_around_it_or_is_left_to_the_next_event() -> None:
    acknowledgement = samples.ACKNOWLEDGEMENT_EVENT
    known = carried_where_known(acknowledgement, {"lane": "routine", "case_id": None})
    assert known == {"case_id": acknowledgement.case_id, "lane": "routine"}
    assert carried_where_known(None, {"lane": "routine"}) == {"lane": "routine"}
    assert carried_where_known(samples.CASE_EVENT, {"lane": "other"}) == carried(samples.CASE_EVENT)
