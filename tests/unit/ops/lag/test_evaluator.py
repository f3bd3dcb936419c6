"""Burrow's rules, one by one, and in their order."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.lag import evaluator
from ops.lag.evaluator import MIN_WINDOW_S, LagState, evaluate
from ops.lag.rates import SPACING_S, WINDOW, LagSample, keep


def window(*points: tuple[int, int], owned: bool | list[bool] = True, every: float = 2.0) -> list[LagSample]:
    """Samples (position, lag), `every` seconds apart."""
    owners = owned if isinstance(owned, list) else [owned] * len(points)
    return [
        LagSample(at_s=i * every, position=position, lag=lag, arrived=position + lag, owned=owner)
        for i, ((position, lag), owner) in enumerate(zip(points, owners, strict=True))
    ]


@pytest.mark.parametrize(
    ("samples", "state"),
    [
        (window(), LagState.OK),
        (window((5, 0)), LagState.OK),
        (window(*[(10, 0)] * 10), LagState.OK),
        (window(*[(10, 0)] * 10, owned=False), LagState.OK),
        (window(*[(i * 10, 5) for i in range(10)]), LagState.OK),
        (window(*[(10, 7)] * 10), LagState.STALLED),
        (window(*[(10, 7 + i) for i in range(10)]), LagState.STALLED),
        (window(*[(10, 7)] * 10, owned=False), LagState.STOPPED),
        (window(*[(10, 7)] * 10, owned=[True] * 3 + [False] * 7), LagState.STALLED),
        (window(*[(10 + i, 7 + i) for i in range(10)]), LagState.WARNING),
        (window(*[(10 + i, 7) for i in range(10)]), LagState.OK),
        (window(*[(10 + i, 70 - i) for i in range(10)]), LagState.OK),
        (window((50, 0), (10, 40), (20, 30)), LagState.REWOUND),
        (window((50, 3), (10, 0)), LagState.REWOUND),
        # Only two samples: it may have just begun.
        (window((10, 7), (10, 7)), LagState.OK),
        # It had done everything six seconds ago: new records, not a stall.
        (window(*[(10, 0)] * 6, *[(10, 4)] * 3), LagState.OK),
        # A commit without a member (a consumer that assigns by hand) still is consumption.
        (window(*[(10 + i, 7) for i in range(10)], owned=False), LagState.OK),
    ],
)
def test_the_first_rule_that_applies_decides(samples: list[LagSample], state: LagState) -> None:
    assert evaluate(samples) is state


samples_of = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.booleans()), min_size=1, max_size=WINDOW).map(
    lambda rows: window(*[(p, lag) for p, lag, _ in rows], owned=[o for *_, o in rows])
)


@given(samples_of)
def test_a_group_with_nothing_unread_is_never_stalled_stopped_or_slow(samples: list[LagSample]) -> None:
    if samples[-1].lag == 0:
        assert evaluate(samples) in {LagState.OK, LagState.REWOUND}


@given(samples_of)
def test_stalled_and_stopped_need_a_position_that_stands_still_in_front_of_records(samples: list[LagSample]) -> None:
    if evaluate(samples) in {LagState.STALLED, LagState.STOPPED}:
        assert len({sample.position for sample in samples}) == 1 or evaluator.rewound(samples)
        assert min(sample.lag for sample in samples) > 0
        assert samples[-1].at_s - samples[0].at_s >= MIN_WINDOW_S


@given(samples_of)
def test_rewound_is_said_whenever_a_position_falls(samples: list[LagSample]) -> None:
    falls = any(b.position < a.position for a, b in pairwise(samples))
    assert (evaluate(samples) is LagState.REWOUND) == falls


def test_a_full_window_of_kept_samples_is_long_enough_to_judge() -> None:
    kept: deque[LagSample] = deque(maxlen=WINDOW)
    for second in range(120):
        keep(kept, LagSample(at_s=float(second), position=1, lag=1, arrived=2, owned=True))
    assert kept[-1].at_s == 119
    assert len(kept) == WINDOW
    assert kept[-1].at_s - kept[0].at_s >= (WINDOW - 2) * SPACING_S
    assert evaluate(kept) is LagState.STALLED


def test_states_have_the_numbers_that_the_alerts_compare_with() -> None:
    assert {state.label: int(state) for state in LagState} == {
        "ok": 0,
        "warning": 1,
        "stalled": 2,
        "stopped": 3,
        "rewound": 4,
    }
