"""The state of a consumer group on a partition, by Burrow's rules: each rule is one function.

Differences to Burrow (core/internal/evaluator/caching.go): lag is in readable records; we see the committed offset
once per second, not each commit, so whether a member holds the partition separates "stalled" from "stopped"; going
back is reported even when the lag is then read away within the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise

from ops.lag.rates import LagSample

#: A verdict on movement needs this many seconds of samples; before that, a group counts as OK.
MIN_WINDOW_S = 15.0


class LagState(IntEnum):
    """State of a group on a partition: worse is higher; the integer is the value of `vigia_consumergroup_state`."""

    OK = 0
    WARNING = 1
    STALLED = 2
    STOPPED = 3
    REWOUND = 4

    @property
    def label(self) -> str:
        """The name in lower case, as tables show it."""
        return self.name.lower()


def evaluate(window: Sequence[LagSample]) -> LagState:
    """The state of one group on one partition from its samples, oldest first; the first rule that applies decides."""
    if not window:
        return LagState.OK
    if rewound(window):
        return LagState.REWOUND
    if nothing_unread(window):
        return LagState.OK
    if not long_enough(window):
        return LagState.OK
    if stopped(window):
        return LagState.STOPPED
    if was_done(window):
        return LagState.OK
    if stalled(window):
        return LagState.STALLED
    if never_shrinks(window):
        return LagState.WARNING
    return LagState.OK


# Rule 1: the position went back within the window (offsets were reset, or a commit was lost). It is read twice.
def rewound(window: Sequence[LagSample]) -> bool:
    """Some sample's position is lower than the one before."""
    return any(newer.position < older.position for older, newer in pairwise(window))


# Rule 2: nothing is unread now. A group with nothing to do is never in error, however long it has been silent.
def nothing_unread(window: Sequence[LagSample]) -> bool:
    """The newest sample has no lag."""
    return window[-1].lag == 0


# Rule 3: too few samples to judge movement.
def long_enough(window: Sequence[LagSample]) -> bool:
    """The window spans at least `MIN_WINDOW_S`."""
    return window[-1].at_s - window[0].at_s >= MIN_WINDOW_S


# Rule 4: records are unread, no member has held the partition during the whole window, and it did not move.
def stopped(window: Sequence[LagSample]) -> bool:
    """Nobody is reading, and something waits to be read."""
    return _always_unread(window) and not any(sample.owned for sample in window) and _still(window)


# Rule 5: the group had read everything at some point in the window: it is keeping up, with work in between.
def was_done(window: Sequence[LagSample]) -> bool:
    """Some sample has no lag."""
    return not _always_unread(window)


# Rule 6: a member holds the partition, records are unread, and the position has not moved.
def stalled(window: Sequence[LagSample]) -> bool:
    """Position equal in all samples although there is always something to read."""
    return _always_unread(window) and _still(window)


# Rule 7: it moves, but what arrives is more: the lag never shrinks from one sample to the next and has grown over all.
def never_shrinks(window: Sequence[LagSample]) -> bool:
    """Lag does not fall between any two neighbouring samples and is higher at the end than at the start."""
    grows = all(newer.lag >= older.lag for older, newer in pairwise(window))
    return grows and window[-1].lag > window[0].lag


def _always_unread(window: Sequence[LagSample]) -> bool:
    return all(sample.lag > 0 for sample in window)


def _still(window: Sequence[LagSample]) -> bool:
    return window[-1].position == window[0].position
