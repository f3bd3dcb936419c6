"""What a dead letter says of itself: headers after KIP-1034, and ids made from where the original record lies."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID, uuid5

from schemas.envelope.raw import RawRecord
from schemas.ids import NAMESPACE

#: Kafka Streams (KIP-1034) writes `__streams.errors.*`; ours say whose they are.
PREFIX = "vigia.errors."
#: `RawRecord.reader`, as a header of a dead letter (behind `PREFIX`) and an attribute of its audit entry.
READER = "reader"
#: How often this record has been redriven from the dead letters; its value goes up by one at each redrive.
ATTEMPT = "vigia.attempt"


def case_id_of(raw: RawRecord) -> UUID:
    """The case a broken record belongs to: its key where that is a UUID, else an id made from where it lies."""
    try:
        return UUID((raw.key or b"").decode("ascii"))
    except ValueError:
        return uuid5(NAMESPACE, f"unknown-case\n{raw.topic}\n{raw.partition}\n{raw.offset}")


def event_id_of(raw: RawRecord) -> UUID:
    """Id of the dead letter, made from where the record lies: the same record has the same id in a replay."""
    reader = f"\n{raw.reader}" if raw.reader else ""
    return uuid5(NAMESPACE, f"dead-letter\n{raw.topic}\n{raw.partition}\n{raw.offset}{reader}")


def attempt_of(raw: RawRecord) -> int:
    """How often the record was redriven before; 0 for one that comes for the first time."""
    for name, value in raw.headers:
        if name == ATTEMPT and value.isdigit():
            return int(value)
    return 0


def origin_of(
    key: bytes | None, value: bytes | None, headers: Mapping[str, bytes], timestamp_ms: int
) -> RawRecord | None:
    """The original record of a dead letter as its headers tell it; None where they are missing or no such thing."""
    try:
        return RawRecord(
            topic=headers[PREFIX + "topic"].decode(),
            partition=int(headers[PREFIX + "partition"]),
            offset=int(headers[PREFIX + "offset"]),
            timestamp_ms=timestamp_ms,
            key=key,
            value=value,
            reader=headers.get(PREFIX + READER, b"").decode(),
        )
    except (KeyError, ValueError, AttributeError):
        return None
