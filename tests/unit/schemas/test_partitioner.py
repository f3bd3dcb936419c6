"""The partitioner is Java's: known hashes, and the client that Faust uses as a second opinion."""

from __future__ import annotations

import pytest
from aiokafka.partitioner import DefaultPartitioner
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope.partitioner import murmur2, partition_of


@pytest.mark.parametrize(
    ("data", "signed"),
    [
        # From the tests of Kafka's own org.apache.kafka.common.utils.Utils.murmur2.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hashes_are_those_of_java(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed & 0xFFFFFFFF


@given(st.binary(max_size=80), st.integers(1, 64))
def test_partitions_are_those_of_aiokafka(key: bytes, partitions: int) -> None:
    every = list(range(partitions))
    assert partition_of(key, partitions) == DefaultPartitioner()(key, every, every)


@given(st.uuids())
def test_a_case_has_one_partition_whatever_the_topic(case: object) -> None:
    key = str(case).encode()
    assert partition_of(key, 4) == partition_of(key, 4)
    assert 0 <= partition_of(key, 4) < 4
