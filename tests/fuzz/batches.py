"""Fetched batches through the reader of the stages: every offset comes once, in order, and memory is bounded."""

from __future__ import annotations

from random import Random

from streams.runtime.fetching import BoundedRecords
from streams.runtime.inflating import MAX_INFLATED_BYTES, inflated
from tests.fuzz.mutation import mutated
from tests.unit.runtime.test_fetching import Item, batch, corrupted_name

HEADER_BYTES = 61
LZ4 = 3


class Target:
    """One batch at a time, broken as no sound broker would hand it out, or compressed bytes of no codec."""

    def __init__(self) -> None:
        few: list[Item] = [(b"k", b"v", []), (None, None, [("NAME", b"1"), ("h", None)]), (b"", b"x" * 300, [])]
        many: list[Item] = [(b"key", b"value" * 20, [("trace", b"t")])] * 40
        self._sound = [batch(items, codec) for items in (few, many) for codec in range(5)]
        self._sound += [corrupted_name(batch(few, 0)), batch(many, 0), batch(few, 0)]
        self._bodies = [data[HEADER_BYTES:] for data in self._sound]
        #: Where lz4 or zstd are broken, room for the whole bound is taken: that costs a hundred times the rest.
        self._cheap = [data for data in self._sound if data[22] & 7 < LZ4]

    def run(self, rng: Random) -> str:
        """One batch."""
        if rng.random() < 0.3:
            codec = rng.choice((0, 1, 2, 5)) if rng.random() < 0.9 else rng.randrange(8)
            body, whole = inflated(codec, bytes(mutated(rng, rng.choice(self._bodies), self._bodies, 40)))
            assert len(body) <= MAX_INFLATED_BYTES
            return "inflated" if whole else "inflated as far as it goes"
        data = rng.choice(self._cheap if rng.random() < 0.9 else self._sound)
        body = mutated(rng, data[HEADER_BYTES:], self._bodies, 40)
        # A fetcher is given whole batches: their length is what is there.
        head = bytearray(data[:HEADER_BYTES])
        head[8:12] = (HEADER_BYTES - 12 + len(body)).to_bytes(4, "big")
        if rng.random() < 0.1:
            head[22] = rng.choice((0, 1, 2, 5, 8, 24)) if rng.random() < 0.9 else rng.randrange(8)
        found = BoundedRecords(bytes(head + body)).next_batch()
        assert found is not None
        offsets = [record.offset for record in found]
        assert offsets == sorted(set(offsets))
        last = int.from_bytes(head[23:27], "big")
        assert offsets[-1] == last, f"{offsets[-1]} instead of {last}"
        return "read to its last offset"

    def close(self) -> None:
        """Nothing is held."""
