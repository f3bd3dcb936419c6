"""Recovery times: how long the longest-waiting case waited because of each fault."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ops.chaos.values import Fault, SeenRecord
from streams import topics


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The recovery from one fault in seconds; `cases` counts the cases that felt it."""

    fault: Fault
    seconds: float
    cases: int


def recoveries(faults: Sequence[Fault], seen: Sequence[SeenRecord]) -> list[Recovery]:
    """The recovery of each fault, in the order of their start.

    A case feels a fault when it was undecided at the fault's start, or was published before the next fault began. The
    recovery is the longest wait of these cases, counted from the fault's start (or from the case's publishing, where
    that is later) to when its first decision was written. Cases that the fault before left waiting count too.
    """
    waits: dict[bytes, tuple[float, float]] = {}
    for record in seen:
        if record.topic == topics.GRADINGS and record.event is not None and record.key is not None:
            published, decided = record.event.published_at.timestamp(), record.timestamp_ms / 1000
            known = waits.get(record.event.source_event_id.bytes)
            if known is None or decided < known[1]:
                waits[record.event.source_event_id.bytes] = published, decided
    ordered = sorted(faults, key=lambda fault: fault.start)
    ends = [fault.start for fault in ordered[1:]] + [math.inf]
    found = []
    for fault, until in zip(ordered, ends, strict=True):
        felt = [
            decided - max(published, fault.start)
            for published, decided in waits.values()
            if published < until and decided > fault.start
        ]
        found.append(Recovery(fault=fault, seconds=max(felt, default=0.0), cases=len(felt)))
    return found


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share (0–1) of the values does not exceed (nearest rank); 0 where there are none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0
