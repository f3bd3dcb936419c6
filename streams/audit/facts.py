"""What verification needs of a record, a few dozen bytes: ids, hashes, and where it lies."""

from __future__ import annotations

from typing import Any, NamedTuple

from streams import pipeline

#: Topics in which the pipeline writes what it decided.
INTERNAL = frozenset(pipeline.DECISIONS)
#: Topics in which others write.
INTO = frozenset(pipeline.INPUTS)


class RecordFact(NamedTuple):
    """A record of an event topic. A tuple, since millions are made."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    case_id: bytes
    #: None where the value holds none.
    event_id: bytes | None
    digest: bytes
    #: Digest of what the record says of its own origin where the audit repeats it; of a case event, of its content
    #: (`schemas.events.content`), by which a repetition is told from another event under its id. Else empty.
    basis: bytes = b""
    #: Whether key and value name the same case.
    sound: bool = True


class EntryFact(NamedTuple):
    """An entry of the audit topic."""

    partition: int
    offset: int
    timestamp_ms: int
    case_id: bytes
    event_id: bytes
    #: Event id of the record it speaks of: its own, but for an answer that came again or was refused.
    subject: bytes
    stage: str
    topic: str
    outcome: str
    decided_ms: int
    input: bytes | None
    output: bytes
    basis: bytes
    #: Digest of the whole entry.
    content: bytes
    #: Topic of the record that a quarantine or a redrive is about.
    origin: str = ""
    #: And its partition and offset, where a quarantine is of a record that nobody has read: it has no hash.
    unread: tuple[int, int] | None = None
    #: How many entries must follow once the next stage has read the record, as far as the entry tells.
    follow: int = 0
    #: Whether the key is the one of this content.
    sound: bool = True


class Unreadable(NamedTuple):
    """A record of the audit topic that is no entry."""

    partition: int
    offset: int
    timestamp_ms: int
    case_id: bytes | None


def case_in_key(key: bytes | None) -> bytes | None:
    """The case in an audit key; None where there is none."""
    return uuid_bytes((key or b"").split(b"/", 1)[0].decode("latin-1"))


def uuid_bytes(text: Any) -> bytes | None:
    """The 16 bytes of a UUID in its usual form; a tenth of the time that `UUID` takes."""
    try:
        found = bytes.fromhex(text.replace("-", "")) if len(text) == 36 else b""
    except (ValueError, AttributeError, TypeError):
        return None
    return found if len(found) == 16 else None
