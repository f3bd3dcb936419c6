"""The schedule of faults of a campaign, drawn from a seed, so that a campaign can be repeated."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """The kinds of faults."""

    KILL_WORKER = "kill worker"
    """SIGKILL; a supervisor starts it again."""
    PAUSE_WORKER = "pause worker"
    """SIGSTOP for longer than the session timeout, then SIGCONT: a worker that was replaced and must not write."""
    KILL_BROKER = "kill broker"
    PAUSE_BROKER = "pause broker"
    PAUSE_REGISTRY = "pause registry"
    KILL_REGISTRY = "kill registry"
    STORE_AWAY = "image store away"
    SCALE_UP = "scale up"
    SCALE_DOWN = "scale down"
    POISON = "poison"
    HOSTILE = "hostile record"
    """A record that nobody would send (`ops.chaos.hostile`)."""
    FLOOD = "flood of unidentified cases"
    FROZEN_WORKER = "frozen worker"
    """SIGSTOP for good: whoever watches its liveness must end it."""
    BOMB = "bomb pictures"
    """Pictures that cost more than any other, and the death of whatever decodes them (`ops.chaos.bombs`)."""
    VANDALISED = "registry vandalised"
    """Subjects deleted, foreign versions, answers that are none (`ops.chaos.vandal`, `ops.chaos.front`)."""
    DUPLICATES = "duplicates"
    RESTART_ALL = "restart everything"


#: How often each kind is drawn, relative to the others.
WEIGHTS: Mapping[FaultKind, int] = {
    FaultKind.KILL_WORKER: 30,
    FaultKind.PAUSE_WORKER: 8,
    FaultKind.KILL_BROKER: 8,
    FaultKind.PAUSE_BROKER: 4,
    FaultKind.PAUSE_REGISTRY: 4,
    FaultKind.KILL_REGISTRY: 3,
    FaultKind.STORE_AWAY: 6,
    FaultKind.SCALE_UP: 5,
    FaultKind.SCALE_DOWN: 5,
    FaultKind.POISON: 13,
    FaultKind.HOSTILE: 13,
    FaultKind.FLOOD: 3,
    FaultKind.FROZEN_WORKER: 3,
    FaultKind.BOMB: 6,
    FaultKind.VANDALISED: 5,
    FaultKind.DUPLICATES: 13,
    FaultKind.RESTART_ALL: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedFault:
    """A planned fault. `at` is the share (0–1) of the cases published by then; `draw` (0–1) chooses its target."""

    at: float
    kind: FaultKind
    draw: float


def schedule(seed: int, faults: int) -> list[PlannedFault]:
    """`faults` planned faults, spread evenly over the load with some jitter; each kind at least once if there is
    room."""
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    first = list(FaultKind)
    rng.shuffle(first)
    # A short campaign kills and pauses first, then does whatever else it has room for.
    first.sort(key=lambda kind: kind not in (FaultKind.KILL_WORKER, FaultKind.PAUSE_WORKER, FaultKind.KILL_BROKER))
    kinds = first[:faults]
    kinds += rng.choices(list(WEIGHTS), weights=list(WEIGHTS.values()), k=faults - len(kinds))
    rng.shuffle(kinds)
    step = 0.94 / max(1, faults)
    return [
        PlannedFault(at=0.03 + step * (number + rng.random() * 0.6), kind=kind, draw=rng.random())
        for number, kind in enumerate(kinds)
    ]
