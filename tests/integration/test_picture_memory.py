"""The memory of a worker's own objects and of its decoders, under the worst pictures that can be made."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ops.bench.pictures import memory_apart
from ops.bench.worst_pictures import KINDS

#: MiB that a worker and its decoders may hold together, of the 1,024 that compose gives to a worker.
MOST = 600


@pytest.mark.parametrize("kinds", [["PNG RGBA 25 MP"], ["no picture, 48 MiB"], list(KINDS)], ids=str)
def test_a_batch_of_32_stays_within_600_mib(kinds: Sequence[str]) -> None:
    """At 73f85d3: 4.06 GB (eight of the PNGs), 2.2 GB (eight of the JPEGs), 1.98 GB (one file of 48 MiB, 32 times)."""
    found = memory_apart(kinds)
    assert sum(found.became.values()) == 32
    assert found.became.keys() <= {"judged", "decompression_bomb", "decoder_timeout", "truncated"}
    assert found.most < MOST, found
