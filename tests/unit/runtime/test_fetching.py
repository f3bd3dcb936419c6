"""Whatever lies in a fetched batch, aiokafka's reader (ours in its place) brings every record, within a bound."""

from __future__ import annotations

import struct
import subprocess
import sys
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.runtime import fetching
from streams.runtime.fetching import BoundedRecords, Withheld, install
from streams.runtime.inflating import MAX_INFLATED_BYTES, inflated

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
Item = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def batch(items: list[Item], codec: int, base: int = 0) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=codec,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**30,
    )
    for at, (key, value, headers) in enumerate(items):
        builder.append(at, timestamp=1_000 + at, key=key, value=value, headers=headers)
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, base)
    return bytes(data)


def read(data: bytes, records: Any = BoundedRecords, start: int = 0) -> list[Any]:
    found = fetcher.PartitionRecords(TopicPartition("t", 0), records(data), [], start, None, None, True, 1)
    return list(found)


def corrupted_name(data: bytes) -> bytes:
    """The batch with a header name that is no UTF-8, and its checksum made right, as another client may send it."""
    from aiokafka.record._crc32c import crc as crc32c

    changed = bytearray(data.replace(b"NAME", b"N\xff\xfeE"))
    struct.pack_into(">I", changed, 17, crc32c(bytes(changed[21:])))
    return bytes(changed)


names = st.text(st.characters(codec="utf-8"), max_size=9)
items = st.lists(
    st.tuples(
        st.none() | st.binary(max_size=50),
        st.none() | st.binary(max_size=300),
        st.lists(
            st.tuples(st.text(st.characters(codec="utf-8"), max_size=9), st.none() | st.binary(max_size=9)), max_size=3
        ),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(items=items, codec=st.sampled_from(sorted(CODECS.values())), start=st.integers(0, 4))
def test_what_aiokafka_can_read_is_read_alike(items: list[Item], codec: int, start: int) -> None:
    data = batch(items, codec) + batch(items, codec, base=len(items))
    assert read(data, start=start) == read(data, MemoryRecords, start=start)


@settings(max_examples=60, deadline=None)
@given(items=items, codec=st.sampled_from(sorted(CODECS.values())))
def test_the_slow_way_reads_what_the_quick_one_does(items: list[Item], codec: int) -> None:
    data = batch(items, codec)
    bounded = BoundedRecords(data).next_batch()
    assert bounded is not None
    quick = [(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in bounded]
    bounded = BoundedRecords(data).next_batch()
    assert bounded is not None
    records = bounded._one_by_one(inflated(codec, data[61:])[0], 0, 0)
    slow = [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in records]
    assert slow == quick


def test_contract_aiokafka_raises_for_a_header_name_that_is_no_utf8() -> None:
    data = corrupted_name(batch([(b"k", b"v", [("NAME", b"1")])], 0))
    with pytest.raises(UnicodeDecodeError):
        read(data, MemoryRecords)


@pytest.mark.parametrize("before", [0, 3])
def test_a_header_name_that_is_no_utf8_is_read_with_what_replaces_it(before: int) -> None:
    sound: Item = (b"k", b"v", [("trace", b"t")])
    data = corrupted_name(batch([*[sound] * before, (b"k", b"odd", [("NAME", b"1")]), sound], 0))
    found = read(data)
    assert [each.offset for each in found] == list(range(before + 2))
    assert [each.value for each in found] == [*[b"v"] * before, b"odd", b"v"]
    assert found[before].headers == (("N\\xff\\xfeE", b"1"),)


@pytest.mark.parametrize("codec", [1, 3, 4])
def test_a_large_record_is_withheld_and_nothing_around_it_is_passed_over(
    codec: int,
) -> None:
    size = MAX_INFLATED_BYTES + 1_000
    data = batch([(b"a", b"before", []), (b"b", b"x" * size, [("h", b"1")]), (b"c", b"after", [])], codec)
    assert len(data) < 1_000_000
    before, large, after = read(data)
    assert before.value == b"before"
    assert isinstance(large.value, Withheld)
    assert (large.offset, large.key, large.value.size) == (1, b"b", size)
    assert isinstance(after.value, Withheld)
    assert (after.offset, after.value.size) == (2, None)


def test_a_bomb_costs_no_more_memory_than_the_bound() -> None:
    data = batch([(b"a", b"before", []), (b"b", bytes(500 * 1024 * 1024), [])], 4)
    assert len(data) < 100_000
    # In a process of its own: in this one the batch was made.
    program = (
        "import resource, sys\n"
        "from aiokafka.consumer import fetcher\n"
        "from aiokafka.structs import TopicPartition\n"
        "from streams.runtime.fetching import BoundedRecords\n"
        "used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "data = sys.stdin.buffer.read()\n"
        "before = used()\n"
        "records = BoundedRecords(data)\n"
        "found = list(fetcher.PartitionRecords(TopicPartition('t', 0), records, [], 0, None, None, True, 1))\n"
        "print(len(found), found[0].value.decode(), found[1].value.size, used() - before)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True).stdout.split()
    assert told[:3] == [b"2", b"before", str(500 * 1024 * 1024).encode()]
    assert int(told[3]) * 1024 < 4 * MAX_INFLATED_BYTES


@settings(max_examples=200, deadline=None)
@given(items=items, codec=st.sampled_from(sorted(CODECS.values())), at=st.integers(0, 400), byte=st.integers(0, 255))
def test_a_batch_that_is_broken_inside_brings_every_offset_all_the_same(
    items: list[Item], codec: int, at: int, byte: int
) -> None:
    """No sound broker lets such a batch in; where one lies in a topic, nothing behind it may wait for it."""
    data = bytearray(batch(items, codec))
    body = data[61:]
    body[at % len(body)] = byte
    broken = BoundedRecords(bytes(data[:61]) + bytes(body)).next_batch()
    assert broken is not None
    offsets = [each.offset for each in broken]
    assert offsets == sorted(set(offsets))
    assert offsets[-1] == len(items) - 1


def test_what_was_read_the_quick_way_does_not_come_again_where_the_slow_one_cannot_read_it() -> None:
    """aiokafka takes a record's attributes for a number of several bytes, and so another offset for its own."""
    head = bytearray(batch([(b"k", b"v", [])] * 3, 0)[:61])
    body = bytes.fromhex("10b30000026b02760020000202ffffffff00066b")
    struct.pack_into(">i", head, 8, 49 + len(body))
    data = bytes(head) + body
    broken = BoundedRecords(bytes(data)).next_batch()
    assert broken is not None
    assert [each.offset for each in broken] == [1, 2]


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), codec=st.integers(0, 7))
def test_bytes_that_are_of_no_codec_are_not_all_there_is(data: bytes, codec: int) -> None:
    body, whole = inflated(codec, data)
    assert len(body) <= MAX_INFLATED_BYTES
    assert isinstance(whole, bool)


def test_every_consumer_of_the_process_reads_so() -> None:
    install()
    assert fetcher.MemoryRecords is fetching.BoundedRecords
