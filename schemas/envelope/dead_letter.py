"""What a dead letter says of itself: headers after KIP-1034, and ids made from where the original record lies."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid5

from schemas.envelope.pointer import Pointer
from schemas.envelope.raw import RawRecord
from schemas.ids import NAMESPACE

#: Kafka Streams (KIP-1034) writes `__streams.errors.*`; ours say whose they are.
PREFIX = "vigia.errors."
#: `RawRecord.reader`, as a header of a dead letter (behind `PREFIX`) and an attribute of its audit entry.
READER = "reader"
#: How often this record has been redriven from the dead letters; its value goes up by one at each redrive.
ATTEMPT = "vigia.attempt"
#: On a record that a stage has sent to another partition, where it belongs: there it is not sent on a second time.
FORWARDED = "vigia.forwarded"
#: Ours on a dead letter: its value is a pointer, it has none because the original had none, or the key or headers are
#: not those of the original (its value names what is left out).
POINTER, NULL_VALUE, BOUNDED = PREFIX + "pointer", PREFIX + "null_value", PREFIX + "bounded"

#: `urn:uuid:` and a UUID.
LONGEST_UUID = 45
#: Digits of a number in a header that are read: more than any partition, offset or time has.
LONGEST_NUMBER = 19


def case_id_of(raw: RawRecord) -> UUID:
    """The case a broken record belongs to: its key where that is a UUID, else an id made from where it lies."""
    try:
        # No longer than any way to write one: a key of megabytes of hyphens with a UUID among them is none.
        key = raw.key or b""
        return UUID(key.decode("ascii") if len(key) <= LONGEST_UUID else "")
    except ValueError:
        return uuid5(NAMESPACE, f"unknown-case\n{raw.topic}\n{raw.partition}\n{raw.offset}")


def event_id_of(raw: RawRecord) -> UUID:
    """Id of the dead letter, made from where the record lies: the same record has the same id in a replay."""
    reader = f"\n{raw.reader}" if raw.reader else ""
    return uuid5(NAMESPACE, f"dead-letter\n{raw.topic}\n{raw.partition}\n{raw.offset}{reader}")


def number_of(value: bytes | None, default: int = 0) -> int:
    """The number (0 or more) in a header; `default` for what is none, or has more digits than any of ours."""
    if value is not None and len(value) <= LONGEST_NUMBER and value.isdigit():
        return int(value)
    return default


def attempt_of(raw: RawRecord) -> int:
    """How often the record was redriven before; 0 for one that comes for the first time."""
    return next((number_of(value) for name, value in raw.headers if name == ATTEMPT), 0)


def origin_of(
    key: bytes | None, value: bytes | None, headers: Mapping[str, bytes | None], timestamp_ms: int
) -> RawRecord | None:
    """The original record of a dead letter as its headers tell it; None where they are missing or no such thing."""
    topic, partition, offset = (headers.get(PREFIX + name) for name in ("topic", "partition", "offset"))
    if topic is None or number_of(partition, -1) < 0 or number_of(offset, -1) < 0:
        return None
    pointer = Pointer.from_bytes(value) if POINTER in headers else None
    return RawRecord(
        topic=topic.decode(errors="replace"),
        partition=number_of(partition),
        offset=number_of(offset),
        timestamp_ms=timestamp_ms,
        key=key,
        value=None if NULL_VALUE in headers or pointer is not None else value,
        reader=(headers.get(PREFIX + READER) or b"").decode(errors="replace"),
        held=pointer is None,
        size=None if pointer is None else pointer.size,
        sha256=None if pointer is None else pointer.sha256,
    )
