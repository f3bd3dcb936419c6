"""Rates of arrival and of reading of a group on a partition, and the time to drain, from a short window of samples."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

#: Samples kept per group and partition: Burrow's ten intervals and two to spare.
WINDOW = 12
#: Seconds between kept samples. 12 samples, 2 s apart, span 22 s: longer than a rebalance after a kill (about 8 s), so
#: that an ordinary failover is not called a stall; short enough that a real stall is seen within half a minute.
SPACING_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LagSample:
    """A group's position and lag on a partition at one moment (monotonic seconds)."""

    at_s: float
    position: int
    lag: int
    #: Readable records ever seen to arrive, counted from an arbitrary origin.
    arrived: float
    #: A member of the group holds the partition.
    owned: bool


def keep(window: deque[LagSample], sample: LagSample) -> None:
    """Add to the window: the newest sample is always the last, older ones are at least `SPACING_S` apart."""
    if len(window) >= 2 and window[-1].at_s - window[-2].at_s < SPACING_S:
        window[-1] = sample
    else:
        window.append(sample)


def rate_in(window: Sequence[LagSample]) -> float:
    """Readable records per second that arrived over the window; 0 with fewer than two samples."""
    seconds = _seconds(window)
    return max(0.0, window[-1].arrived - window[0].arrived) / seconds if seconds > 0 else 0.0


def rate_out(window: Sequence[LagSample]) -> float:
    """Readable records per second that the group read over the window; 0 with fewer than two samples.

    What arrived and is no longer unread was read. A group whose position did not move, or went back, has read nothing.
    """
    seconds = _seconds(window)
    if seconds <= 0 or window[-1].position <= window[0].position:
        return 0.0
    arrived = window[-1].arrived - window[0].arrived
    return max(0.0, arrived - (window[-1].lag - window[0].lag)) / seconds


def drain_seconds(lag: int, records_in: float, records_out: float) -> float:
    """Seconds until the lag is gone if nothing changes: 0 without lag, +Inf when it does not shrink."""
    if lag <= 0:
        return 0.0
    gain = records_out - records_in
    return lag / gain if gain > 0 else math.inf


def _seconds(window: Sequence[LagSample]) -> float:
    return window[-1].at_s - window[0].at_s if len(window) >= 2 else 0.0
