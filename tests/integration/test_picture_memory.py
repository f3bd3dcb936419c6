"""The memory of a worker's own objects and of its decoders, under the worst pictures that can be made."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ops.bench.pictures import memory_apart
from ops.bench.worst_pictures import KINDS

#: MiB that a worker and its decoders may hold together, of the 1,024 that compose gives to a worker.
MOST = 600


@pytest.mark.parametrize(
    ("kinds", "count"),
    # Of the PNGs, which take a second each, more than were in memory at once when nothing bounded them.
    [(["PNG RGBA 25 MP"], 12), (["no picture, 48 MiB"], 32), (list(KINDS), 32)],
    ids=["PNG", "no picture", "all"],
)
def test_a_batch_stays_within_600_mib(kinds: Sequence[str], count: int) -> None:
    """At 73f85d3: 4.06 GB (eight of the PNGs), 2.2 GB (eight of the JPEGs), 1.98 GB (one file of 48 MiB, 32 times)."""
    found = memory_apart(kinds, count)
    assert sum(found.became.values()) == count
    assert found.became.keys() <= {"judged", "decompression_bomb", "decoder_timeout", "truncated"}
    assert found.most < MOST, found
