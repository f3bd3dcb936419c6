"""What a dead letter says of its input, for the verifier."""

from __future__ import annotations

from ops.chaos.values import SeenRecord
from schemas.envelope.audit import sha256_hex
from schemas.envelope.dead_letter import NULL_VALUE, POINTER, PREFIX
from schemas.envelope.pointer import Pointer

Place = tuple[str, int, int]
#: Reasons of records of which nobody could tell what they say.
UNDECODED = frozenset({"undecodable", "registry_unavailable"})


def holds(letter: SeenRecord, original: SeenRecord) -> bool:
    """Whether a dead letter has the key and value of its input, or points to them where they do not fit."""
    headers = dict(letter.headers)
    if POINTER in headers:
        pointer = Pointer.from_bytes(letter.value)
        whole = original.value or b""
        return (
            pointer is not None
            and (pointer.topic, pointer.partition, pointer.offset) == original.place
            and pointer.size in (None, len(whole))
            and pointer.sha256 in (None, sha256_hex(whole))
        )
    value = None if NULL_VALUE in headers else letter.value
    return (letter.key, value) == (original.key, original.value)


def origin(letter: SeenRecord) -> Place:
    """Topic, partition and offset of the input that it stands for."""
    names = ("topic", "partition", "offset")
    topic, partition, offset = (letter.headers.get(PREFIX + name, b"-1").decode() for name in names)
    return topic, int(partition), int(offset)
