"""A record as it lies in a topic, before anything is known of what it means."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.envelope.audit import sha256_hex

Headers = tuple[tuple[str, bytes | None], ...]

#: Before this no record of ours was written, and a producer's clock was not set.
_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
#: A producer's clock may be ahead by so much; a broker takes no more by default either.
_AHEAD = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """A consumed record, undecoded. Nothing in it can be relied on: whoever publishes writes key, headers and time."""

    topic: str
    partition: int
    offset: int
    #: Milliseconds since the epoch, as the broker gives it; any number where a producer's clock wrote it.
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    #: Stage that could not process it, where an earlier stage of the pipeline reads the topic too; else empty. Two
    #: stages may refuse one record, and their dead letters must not have one id.
    reader: str = ""
    #: False: the record has a value that is not here, since it is too large or nobody could read it.
    held: bool = True
    #: Of a value that is not here, where they are known: bytes, and SHA-256 (hex).
    size: int | None = None
    sha256: str | None = None

    @property
    def value_hash(self) -> str | None:
        """SHA-256 (hex) of the value; None where nobody has read it."""
        return sha256_hex(self.value) if self.held else self.sha256

    @property
    def value_size(self) -> int | None:
        """Bytes of the value; None where nobody has read it."""
        return len(self.value or b"") if self.held else self.size


def plain_raw(raw: RawRecord) -> dict[str, Any]:
    """A record in plain values for JSON, bytes in base64. Of its value's absence only what is known is said."""
    absent = {"held": raw.held, "size": raw.size, "sha256": raw.sha256}
    return {
        "topic": raw.topic,
        "partition": raw.partition,
        "offset": raw.offset,
        "timestamp_ms": raw.timestamp_ms,
        "key": _text(raw.key),
        "value": _text(raw.value),
        "headers": [[name, _text(content)] for name, content in raw.headers],
        **{name: value for name, value in absent.items() if value is not None and value is not True},
    }


def raw_of(plain: Mapping[str, Any]) -> RawRecord:
    """What `plain_raw` made. Raises KeyError, TypeError or ValueError for anything else."""
    return RawRecord(
        topic=plain["topic"],
        partition=plain["partition"],
        offset=plain["offset"],
        timestamp_ms=plain["timestamp_ms"],
        key=_bytes(plain["key"]),
        value=_bytes(plain["value"]),
        headers=tuple((name, _bytes(content)) for name, content in plain["headers"]),
        held=plain.get("held", True),
        size=plain.get("size"),
        sha256=plain.get("sha256"),
    )


def unread(topic: str, partition: int, offset: int) -> RawRecord:
    """A record of which only the position is known."""
    return RawRecord(topic=topic, partition=partition, offset=offset, timestamp_ms=0, key=None, value=None, held=False)


def plausible_time(timestamp_ms: int, now: datetime) -> datetime:
    """A record's time, or `now` where its producer's clock cannot have been right."""
    try:
        written = datetime.fromtimestamp(timestamp_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return now
    return written if _EARLIEST <= written <= now + _AHEAD else now


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
