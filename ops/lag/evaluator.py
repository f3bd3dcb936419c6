"""Is a group all right on a partition? Burrow's rules, each a function to be checked one by one.

Differences to Burrow (core/internal/evaluator/caching.go): lag is in readable records; we see the committed offset
once a second, not each commit, so "stopped" is told from "stalled" by whether a member holds the partition; going
back is reported even when the lag is then read away within the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from itertools import pairwise

from ops.lag.rates import Sample

#: A verdict on movement needs this many seconds of samples; before, a group is given the benefit of the doubt.
MIN_WINDOW_S = 15.0


class State(IntEnum):
    """Worse is higher; the number is the value of `vigia_consumergroup_state`."""

    OK = 0
    WARNING = 1
    STALLED = 2
    STOPPED = 3
    REWOUND = 4

    @property
    def label(self) -> str:
        """Name in lower case, as tables show it."""
        return self.name.lower()


def evaluate(window: Sequence[Sample]) -> State:
    """State of one group on one partition from its samples, oldest first; the first rule that applies decides."""
    if not window:
        return State.OK
    if rewound(window):
        return State.REWOUND
    if nothing_unread(window):
        return State.OK
    if not long_enough(window):
        return State.OK
    if stopped(window):
        return State.STOPPED
    if was_done(window):
        return State.OK
    if stalled(window):
        return State.STALLED
    if never_shrinks(window):
        return State.WARNING
    return State.OK


# Rule 1: the position went back within the window (offsets were reset, or a commit was lost). It is read twice.
def rewound(window: Sequence[Sample]) -> bool:
    """Some sample's position is lower than the one before."""
    return any(newer.position < older.position for older, newer in pairwise(window))


# Rule 2: nothing is unread now. A group with nothing to do is never in error, however long it has been silent.
def nothing_unread(window: Sequence[Sample]) -> bool:
    """The newest sample has no lag."""
    return window[-1].lag == 0


# Rule 3: too few samples to judge movement.
def long_enough(window: Sequence[Sample]) -> bool:
    """The window spans at least `MIN_WINDOW_S`."""
    return window[-1].at_s - window[0].at_s >= MIN_WINDOW_S


# Rule 4: records are unread, no member has held the partition during the whole window, and it did not move.
def stopped(window: Sequence[Sample]) -> bool:
    """Nobody is reading, and something waits to be read."""
    return _always_unread(window) and not any(sample.owned for sample in window) and _still(window)


# Rule 5: the group had read everything at some point in the window: it is keeping up, with work in between.
def was_done(window: Sequence[Sample]) -> bool:
    """Some sample has no lag."""
    return not _always_unread(window)


# Rule 6: a member holds the partition, records are unread, and the position has not moved.
def stalled(window: Sequence[Sample]) -> bool:
    """Position equal in all samples although there is always something to read."""
    return _always_unread(window) and _still(window)


# Rule 7: it moves, but what arrives is more: the lag never shrinks from one sample to the next and has grown over all.
def never_shrinks(window: Sequence[Sample]) -> bool:
    """Lag does not fall between any two neighbouring samples and is higher at the end than at the start."""
    grows = all(newer.lag >= older.lag for older, newer in pairwise(window))
    return grows and window[-1].lag > window[0].lag


def _always_unread(window: Sequence[Sample]) -> bool:
    return all(sample.lag > 0 for sample in window)


def _still(window: Sequence[Sample]) -> bool:
    return window[-1].position == window[0].position
