"""A record as it lies in a topic, before anything is known of what it means."""

from __future__ import annotations

from dataclasses import dataclass

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRecord:
    """A consumed record, undecoded."""

    topic: str
    partition: int
    offset: int
    #: Milliseconds since the epoch, as the broker gives it.
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    #: Stage that could not process it, where an earlier stage of the pipeline reads the topic too; else empty. Two
    #: stages may refuse one record, and their dead letters must not have one id.
    reader: str = ""
