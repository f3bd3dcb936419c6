"""Hostile records: every kind is drawn, the same draw gives the same record, and librdkafka takes each."""

from __future__ import annotations

import pytest

from ops.chaos.hostile import KINDS, hostile
from ops.chaos.publishing import Publishing
from ops.embedded.ports import free_ports

DRAWS = [(number + 0.5) / len(KINDS) for number in range(len(KINDS))]


@pytest.mark.parametrize("draw", DRAWS, ids=list(KINDS))
def test_each_kind_can_be_published(draw: float) -> None:
    name, one = hostile(draw, "vigia.cases.emergency")
    assert name == list(KINDS)[DRAWS.index(draw)]
    assert hostile(draw, "vigia.cases.emergency")[1] == one
    publishing = Publishing(f"127.0.0.1:{free_ports(1)[0]}")
    publishing.publish(one)
    assert len(publishing.recent(1)) == 1, "the client refused it"
