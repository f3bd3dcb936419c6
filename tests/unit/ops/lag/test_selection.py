"""Which groups are served when somebody invents hundreds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ops.lag.selection import limited, selected

EXPECTED = {"vigia-grading", "vigia-escalation"}
NAMES = st.lists(st.text("abvigia-", min_size=1, max_size=6), max_size=30, unique=True)


def test_the_pipelines_groups_come_first_then_those_that_are_served_already() -> None:
    names = ["vigia-aaa", "vigia-escalation", "vigia-grading", "vigia-mine"]
    assert selected(names, EXPECTED, {"vigia-mine"}, 3) == ["vigia-escalation", "vigia-grading", "vigia-mine"]
    assert selected(names, EXPECTED, (), None) == names


@given(names=NAMES, before=NAMES, most=st.integers(0, 10))
def test_a_choice_is_bounded_and_stays(names: list[str], before: list[str], most: int) -> None:
    chosen = selected(names, EXPECTED, before, most)
    assert len(chosen) == min(most, len(names))
    if len(names) >= most:
        assert selected([*names, "0-newcomer"], EXPECTED, chosen, most) == chosen


def test_300_invented_groups_leave_the_pipelines_whole_and_are_counted() -> None:
    ours = [("vigia-grading", "vigia.inferences", number) for number in range(4)]
    invented = [(f"vigia-{name:03}", topic, 0) for name in range(300) for topic in ("a", "b", "c")]
    served, left_out = limited([*invented, *ours], EXPECTED, 100)
    assert served[:4] == ours
    assert len(served) + left_out == len(invented) + len(ours)
    assert len(served) == 100
    served, left_out = limited([*invented, *ours], EXPECTED, 101)
    assert len(served) == 100, "no group is served in part"
    assert limited(ours, EXPECTED, 4) == (ours, 0)
