"""A schedule is drawn from its seed alone, and recovery is the longest wait that a fault can be blamed for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ops.chaos.recovery import percentile, recoveries
from ops.chaos.schedule import FaultKind, schedule
from ops.chaos.values import Fault
from schemas.events import Lane
from streams import topics
from tests.unit.ops.chaos.worlds import World


def test_the_same_seed_gives_the_same_faults_in_order_of_time() -> None:
    assert schedule(7, 40) == schedule(7, 40)
    assert schedule(7, 40) != schedule(8, 40)
    times = [planned.at for planned in schedule(7, 40)]
    assert times == sorted(times)
    assert times[0] > 0
    assert times[-1] < 1


def test_a_schedule_that_has_room_for_all_kinds_has_all_and_a_short_one_kills_and_pauses() -> None:
    assert {planned.kind for planned in schedule(3, len(FaultKind))} == set(FaultKind)
    short = {planned.kind for planned in schedule(3, 3)}
    assert short == {FaultKind.KILL_WORKER, FaultKind.PAUSE_WORKER, FaultKind.KILL_BROKER}


def test_recovery_is_the_longest_wait_of_the_cases_that_felt_the_fault() -> None:
    world = World()
    for _ in range(3):
        world.case(lane=Lane.ROUTINE)
    gradings = [record for record in world.seen if record.topic == topics.GRADINGS]
    at = [record.event.published_at.timestamp() for record in gradings]
    delays = (0.1, 5.0, 0.2)
    seen = [
        replace(record, timestamp_ms=round((start + delay) * 1000))
        for record, start, delay in zip(gradings, at, delays, strict=True)
    ]
    faults = [
        Fault(kind=kind, target="", start=start, end=start) for kind, start in (("b", at[2] + 1), ("a", at[0] + 0.5))
    ]
    first, second = recoveries(faults, seen)
    assert (first.fault.kind, first.cases) == ("a", 2)
    assert first.seconds == pytest.approx(5.0, abs=0.01)
    assert (second.fault.kind, second.cases) == ("b", 1)
    assert second.seconds == pytest.approx(3.0, abs=0.01)


def test_percentiles_are_by_nearest_rank() -> None:
    values = list(range(1, 101))
    assert (percentile(values, 0.5), percentile(values, 0.99), percentile([], 0.5)) == (50, 99, 0.0)
