"""How soon an emergency reaches people: from the producer's publishing to the last of its escalations, committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ops.bench.arrivals import Arrivals
from ops.bench.load import Stored, new_case, open_producer, publish
from ops.up import System
from schemas.events import GradingEvent, Lane
from schemas.serde import Serde
from streams import topics

#: Between two emergencies: they are to be alone, not a batch.
PAUSE_S = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Seconds, over `count` emergencies."""

    count: int
    p50: float
    p99: float
    worst: float


def emergencies(system: System, stored: Stored, count: int, *, waiting: int = 0) -> Latency:
    """Publish `count` emergencies one by one, with `waiting` routine cases published just before them."""
    settings = system.settings
    serde = Serde(settings.schema_registry_url)
    names = (topics.GRADINGS, *topics.ESCALATIONS.values())
    producer = open_producer(settings)
    # A severe class, so that each asks for an escalation.
    reference = stored.references[4]
    with Arrivals(settings, serde, names) as arrivals:
        if waiting:
            backlog = [new_case(stored.references[at % len(stored.references)], Lane.ROUTINE) for at in range(waiting)]
            publish(producer, serde, backlog)
        cases = []
        for _ in range(count):
            case = new_case(reference, Lane.EMERGENCY)
            publish(producer, serde, [case])
            cases.append(case)
            time.sleep(PAUSE_S)

        def complete() -> bool:
            for case in cases:
                arrived = arrivals.of(case.case_id)
                gradings = [event for _, event, _ in arrived if isinstance(event, GradingEvent)]
                if not gradings or len(arrived) - 1 < len(gradings[0].escalations):
                    return False
            return True

        arrivals.until(complete, within_s=120)
        spent = [max(at for _, _, at in arrivals.of(case.case_id)) - case.published_at.timestamp() for case in cases]
    return summarise(spent)


def summarise(spent: Sequence[float]) -> Latency:
    """Percentiles by nearest rank: with fewer than a hundred values p99 is the worst."""
    ordered = sorted(spent)

    def rank(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Latency(count=len(ordered), p50=rank(0.5), p99=rank(0.99), worst=ordered[-1])
