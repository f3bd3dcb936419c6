"""The clock on a real broker: a day passes in a second, nobody is forgotten, nobody is asked twice."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner

from ops.cli import cli
from schemas.events import EscalationType, GradingEvent
from tests.integration.clocked import Clocked, clocked_system, emergency
from tests.services import RegistryService
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import LADDER, SOMEBODY, grading

YEAR = timedelta(days=365)


@pytest.fixture(scope="module")
def clock(registry: RegistryService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clocked]:
    with clocked_system(registry, tmp_path_factory.mktemp("clock")) as clocked:
        clocked.start_worker()
        yield clocked


def run(clock: Clocked, *arguments: str) -> tuple[int, str]:
    """`vigia …` against the clock's own broker: exit code, what it printed."""
    result = CliRunner().invoke(cli, arguments, env=clock.env)
    return result.exit_code, result.output


def answered(clock: Clocked, grading: GradingEvent, *more: str) -> tuple[int, dict[str, object]]:
    escalation = clock.escalated(grading.case_id, 1)[-1].event
    code, output = run(clock, "ack", str(escalation.escalation_id), "--by", SOMEBODY, "--json", *more)
    return code, json.loads(output)


def test_a_ticker_whose_clock_is_a_year_ahead_raises_nothing(clock: Clocked) -> None:
    asked = clock.grade(emergency())
    clock.escalated(asked.case_id, 1)
    clock.tick(asked.case_id, datetime.now(UTC) + YEAR)
    assert [seen.event.level for seen in clock.all_escalated(asked.case_id)] == [0]


def test_deadlines_that_passed_while_every_worker_was_down_fire_once_after_recovery(clock: Clocked) -> None:
    asked = clock.grade(emergency(within_s=4, every_s=3600))
    clock.escalated(asked.case_id, 1)
    clock.kill_workers()
    due = asked.graded_at + timedelta(seconds=4)
    while datetime.now(UTC) <= due:
        time.sleep(0.1)
    clock.start_worker()
    clock.escalated(asked.case_id, 2)
    assert [seen.event.level for seen in clock.all_escalated(asked.case_id)] == [0, 1]
    assert clock.outcomes(asked.case_id).count("deadline_missed:emergency:1") == 1


def test_an_unanswered_emergency_climbs_the_ladder_and_an_answer_stops_it(clock: Clocked) -> None:
    clock.stamp_ticks("CreateTime")
    asked = clock.grade(emergency())
    event = clock.escalated(asked.case_id, 1)[0].event
    for level in range(1, 6):
        for _ in range(2):
            clock.tick(asked.case_id, event.respond_by)
        event = clock.escalated(asked.case_id, level + 1)[-1].event
    raised = [seen.event for seen in clock.all_escalated(asked.case_id)]
    assert [each.level for each in raised] == [0, 1, 2, 3, 4, 5]
    assert [each.role for each in raised] == [*LADDER, LADDER[-1], LADDER[-1]]
    missed = [outcome for outcome in clock.outcomes(asked.case_id) if outcome.startswith("deadline_missed")]
    assert missed == [f"deadline_missed:emergency:{level}" for level in range(1, 6)]

    code, told = answered(clock, asked, "--role", "nurse_specialist")
    assert (code, told["code"], told["accepted"]) == (1, "role_too_low", False)
    assert "clinical_supervisor" in str(told["refusal"])
    _, listed = run(clock, "reviews", "--overdue", "--json")
    overdue = {each["escalation_id"]: each for each in json.loads(listed)["reviews"]}
    assert overdue[str(event.escalation_id)]["role"] == "clinical_supervisor"

    code, told = answered(clock, asked, "--role", "clinical_supervisor")
    assert (code, told["code"]) == (0, "acknowledged")
    clock.tick(asked.case_id, event.respond_by + timedelta(minutes=10))
    assert len(clock.all_escalated(asked.case_id)) == 6
    _, listed = run(clock, "reviews", "--json")
    (mine,) = (each for each in json.loads(listed)["reviews"] if each["case_id"] == str(asked.case_id))
    assert (mine["acknowledged_role"], mine["overdue"]) == ("clinical_supervisor", False)

    # Acknowledged is not forgotten: an hour to resolve an emergency, and then it is asked again.
    clock.tick(asked.case_id, event.respond_by + timedelta(hours=2))
    again = clock.escalated(asked.case_id, 7)[-1].event
    assert (again.level, again.role, again.reasons[-1].code) == (6, "clinical_supervisor", "unresolved")
    _, listed = run(clock, "reviews", "--overdue", "--json")
    (mine,) = (each for each in json.loads(listed)["reviews"] if each["case_id"] == str(asked.case_id))
    assert (mine["acknowledged_role"], mine["level"]) == (None, 6)
    clock.watcher.settle()
    assert clock.outcomes(asked.case_id).count("unresolved:emergency:6") == 1

    code, told = answered(clock, asked, "--role", "clinical_supervisor", "--resolve", "--stage", "stage_3")
    assert (code, told["code"]) == (0, "resolved")
    _, listed = run(clock, "reviews", "--json")
    assert not [each for each in json.loads(listed)["reviews"] if each["case_id"] == str(asked.case_id)]
    _, agreement = run(clock, "reviews", "--agreement", "--json")
    assert json.loads(agreement)["m1"]["over_staging"] == 1
    code, told = answered(clock, asked, "--role", "clinical_supervisor")
    assert (code, told["code"]) == (1, "unknown_escalation")

    # Its grading comes again, after everything, also to a worker that has only the state topic to know it from.
    clock.grade(asked)
    assert len(clock.all_escalated(asked.case_id)) == 7
    clock.kill_workers()
    clock.start_worker()
    clock.grade(asked)
    barrier = clock.grade(emergency())
    clock.escalated(barrier.case_id, 1)
    assert len(clock.all_escalated(asked.case_id)) == 7


def test_a_second_grading_merges_or_takes_the_place_of_the_first(clock: Clocked) -> None:
    first = clock.grade(emergency(within_s=300))
    clock.escalated(first.case_id, 1)
    later = clock.grade(emergency(first.case_id, within_s=3000))
    sooner = clock.grade(emergency(first.case_id, within_s=60))
    raised = [seen.event for seen in clock.escalated(first.case_id, 2)]
    assert [each.source_event_id for each in raised] == [first.event_id, sooner.event_id]
    assert later.event_id not in {seen.event.source_event_id for seen in clock.all_escalated(first.case_id)}
    assert "merged:emergency" in clock.outcomes(first.case_id)
    assert "superseded:emergency:0" in clock.outcomes(first.case_id)
    clock.grade(first)
    clock.grade(replace(later))
    assert len(clock.all_escalated(first.case_id)) == 2


def test_an_entry_of_a_newer_version_stops_nobody_elses_escalation_and_people_are_asked(clock: Clocked) -> None:
    clock.kill_workers()
    lost, other = uuid4(), uuid4()
    while clock.partition_of(other) != clock.partition_of(lost):
        other = uuid4()
    clock.write_state(
        lost, b"s" + uuid4().bytes, bytes(32) + json.dumps({"version": 2, "event": {"case_id": str(lost)}}).encode()
    )
    clock.start_worker()
    clock.grade(emergency(other))
    clock.escalated(other, 1)
    asked = clock.escalated(lost, 1)[0].event
    assert asked.case_id == lost
    code, output = run(clock, "dead-letters", "list", "--reason", "state_unreadable", "--json")
    assert code == 0
    assert str(lost) in output


def test_one_answer_takes_up_every_escalation_of_a_case_that_the_role_may_answer(clock: Clocked) -> None:
    every = grading(decision("stage_4")).escalations
    # On the ladder of a failed system there is no physician.
    admins = replace(every[0], type=EscalationType.SYSTEM_ERROR)
    asked = clock.grade(replace(emergency(), escalations=(*every, admins)))
    raised = {seen.event.type: seen.event for seen in clock.escalated(asked.case_id, len(every) + 1)}
    answer = ("ack", "--case", str(asked.case_id), "--by", SOMEBODY, "--role")
    code, output = run(clock, *answer, "attending_physician", "--json")
    told = {UUID(each["escalation_id"]): each["code"] for each in json.loads(output)}
    assert code == 0
    assert told.pop(raised[EscalationType.SYSTEM_ERROR].escalation_id) == "role_unknown"
    assert {*told.values()} == {"acknowledged"}
    assert len(told) == len(every)
    _, shown = run(clock, "reviews")
    assert f"case {asked.case_id}" in shown.splitlines()
    assert max(map(len, shown.splitlines())) <= 80

    assert run(clock, *answer, "clinical_supervisor", "--resolve")[0] == 0
    code, output = run(clock, *answer, "clinical_supervisor")
    assert (code, output.count("\n")) == (1, 1)
    assert "no escalation of case" in output


def test_an_escalation_that_nobody_knows_is_told_in_one_line(clock: Clocked) -> None:
    code, output = run(
        clock, "ack", "00000000-0000-0000-0000-000000000000", "--role", "nurse_specialist", "--by", SOMEBODY
    )
    assert code == 1
    assert "no escalation" in output
    assert output.count("\n") == 1
