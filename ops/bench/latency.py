"""Measures how soon an emergency reaches people: from its publishing to the commit of the last of its escalations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ops.bench.contestant import Contestant
from ops.bench.load import Stored, new_case
from ops.bench.rounds import wait_if_it_comes
from schemas.events import Lane

#: Seconds between two emergencies, so that each is handled alone and not in a batch.
PAUSE_S = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Latencies in seconds of the `count` emergencies that were answered; `lost` others never were."""

    count: int
    lost: int
    p50: float
    p99: float
    worst: float


def emergencies(
    contestant: Contestant, stored: Stored, count: int, *, waiting: int = 0, kill: str | None = None
) -> Latency:
    """Publish `count` emergencies one by one to a running contestant, on which `listen` was called before.

    `waiting` routine cases are published just before them. The process named `kill` is killed after a third of them.
    """
    # A severe class, so that each asks for an escalation.
    reference = stored.references[4]
    contestant.publish([new_case(each, Lane.ROUTINE) for each in stored.repeated(waiting)])
    cases = []
    for number in range(count):
        if kill is not None and number == count // 3:
            contestant.kill(kill)
        case = new_case(reference, Lane.EMERGENCY)
        contestant.publish([case])
        cases.append(case)
        time.sleep(PAUSE_S)
    wanted = {case.case_id for case in cases}
    done = wait_if_it_comes(contestant, wanted)
    spent = [done[case.case_id] - case.published_at.timestamp() for case in cases if case.case_id in done]
    return summarise(spent, lost=len(wanted - done.keys()))


def summarise(spent: Sequence[float], lost: int = 0) -> Latency:
    """Percentiles by nearest rank: with fewer than a hundred values p99 is the worst."""
    ordered = sorted(spent)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Latency(count=len(ordered), lost=lost, p50=rank(0.5), p99=rank(0.99), worst=ordered[-1])
