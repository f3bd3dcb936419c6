"""The index against a plain look at everything."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from streams.stages.escalation.due_index import DueIndex

START = datetime(2026, 1, 1, tzinfo=UTC)
keys = st.integers(0, 5).map(lambda number: UUID(int=number))
times = st.integers(0, 20).map(lambda seconds: START + timedelta(seconds=seconds))


@given(
    steps=st.lists(st.tuples(keys, st.one_of(st.none(), times)), max_size=300),
    now=times,
    limit=st.integers(1, 7),
)
def test_what_is_due_is_what_a_look_at_everything_finds(
    steps: list[tuple[UUID, datetime | None]], now: datetime, limit: int
) -> None:
    index, plain = DueIndex(), dict[UUID, datetime]()
    for key, when in steps:
        if when is None:
            index.discard(key)
            plain.pop(key, None)
        else:
            index.set(key, when)
            plain[key] = when
        assert index.first() == min(plain.values(), default=None)
        due = sorted((at, key) for key, at in plain.items() if at <= now)
        assert index.due(now, limit) == [key for _, key in due][:limit]


def test_what_no_longer_holds_does_not_pile_up() -> None:
    index = DueIndex()
    for seconds in range(10_000):
        index.set(UUID(int=1), START + timedelta(seconds=seconds))
    assert len(index._heap) < 200
