"""The clinical figures of one refresh, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ops.lag.clinical.unanswered import Unanswered
from streams import pipeline

STEPS = tuple(pipeline.STEPS)
LANES = ("emergency", "routine")
#: Most pressing first.
PRIORITIES = ("emergency", "urgent", "high", "medium", "low")


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """Cases before one step, of one lane."""

    step: str
    lane: str
    cases: int
    #: Since the oldest of them was published; 0 when none waits.
    oldest_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClinicalFigures:
    """All of one refresh, without synthetic cases."""

    #: Monotonic clock, and seconds since the epoch.
    at_s: float
    at: float
    #: Everything written up to the refresh was read; before, the start is still catching up.
    complete: bool
    waiting: tuple[Waiting, ...]
    #: Most pressing deadline first.
    unanswered: tuple[Unanswered, ...]
    missed: Mapping[str, int]

    def of(self, priority: str) -> list[Unanswered]:
        """Open escalations of a priority, most pressing deadline first."""
        return [one for one in self.unanswered if one.priority == priority]
