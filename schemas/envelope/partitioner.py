"""Which partition a key belongs to, everywhere: Java's default, Faust's, aiokafka's, and librdkafka's `murmur2_random`.

librdkafka's own default is another (CRC-32): a producer built on it must set `partitioner=murmur2_random`, or its cases
land where no stage expects them (confluentinc/confluent-kafka-python#293).
"""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

#: What every librdkafka producer of this project is configured with.
LIBRDKAFKA_PARTITIONER = {"partitioner": "murmur2_random"}

_SEED = 0x9747B28C
_M = 0x5BD1E995
_R = 24
_32_BITS = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """Unsigned 32-bit MurmurHash2 as in `org.apache.kafka.common.utils.Utils.murmur2`."""
    length = len(data)
    h = (_SEED ^ length) & _32_BITS
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(data[at : at + 4], "little")
        k = (k * _M) & _32_BITS
        k ^= k >> _R
        k = (k * _M) & _32_BITS
        h = ((h * _M) & _32_BITS) ^ k
    if whole < length:
        h ^= int.from_bytes(data[whole:], "little")
        h = (h * _M) & _32_BITS
    h ^= h >> 13
    h = (h * _M) & _32_BITS
    h ^= h >> 15
    return h


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a key (not null) among `partitions`."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=4_096)
def partition_of_case(case_id: bytes, partitions: int) -> int:
    """The partition of everything that belongs to a case, from the 16 bytes of its id.

    Cached, since the hash is pure Python and the records of a case come close together.
    """
    return partition_of(str(UUID(bytes=case_id)).encode(), partitions)
