"""What verification needs of a record, a few dozen bytes: ids, hashes, and where it lies.

Only the fields that matter are decoded: a whole grading takes thirty times as long as its two ids.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple
from uuid import UUID

import fastavro

from schemas import definitions
from schemas.errors import UndecodableError
from schemas.registry import Registry
from schemas.serde import schema_id_of
from streams import topics
from streams.runtime.dead_letter import PREFIX, case_id_of, event_id_of
from streams.runtime.records import RawInput

#: Bytes before the Avro in a record value.
_HEADER = 5
#: What a record says of its own origin, and its audit entry repeats.
BASIS = ("source_event_id", "model_version", "policy_version")
#: Topics in which the pipeline writes what it decided.
INTERNAL = frozenset({topics.INFERENCES, topics.GRADINGS, *topics.ESCALATIONS.values()})
#: Topics in which others write.
INTO = frozenset({*topics.CASES.values(), topics.ACKNOWLEDGEMENTS})
#: Every topic whose records the chain covers.
COVERED: tuple[str, ...] = tuple(t.name for t in topics.ALL if t.name in INTERNAL | INTO | {topics.DEAD_LETTERS})


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
    #: Digest of `BASIS`; empty where the audit does not repeat it.
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


class FactReader:
    """Turns records into facts; asks the registry once a schema id. Raises RegistryUnavailableError."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._schemas: dict[int, tuple[Any, Any] | None] = {}

    def record(
        self, topic: str, partition: int, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None
    ) -> RecordFact:
        """The fact of a record of an event topic other than the dead letters (see `dead_letter`)."""
        digest = hashlib.sha256(value or b"").digest()
        raw = RawInput(topic=topic, number=partition, offset=offset, timestamp_ms=timestamp_ms, key=key, value=None)
        case_id = case_id_of(raw).bytes
        datum = self._partly(value)
        if datum is None:
            return RecordFact(topic, partition, offset, timestamp_ms, case_id, None, digest)
        event_id, named = _uuid(datum.get("event_id")), _uuid(datum.get("case_id"))
        basis = basis_of(datum) if topic in INTERNAL else b""
        return RecordFact(topic, partition, offset, timestamp_ms, case_id, event_id, digest, basis, named == case_id)

    def dead_letter(
        self, partition: int, offset: int, timestamp_ms: int, raw: RawInput | None, value: bytes | None
    ) -> RecordFact:
        """The fact of a dead letter; `raw` is what its headers say of the original record, None where they do not."""
        digest = hashlib.sha256(value or b"").digest()
        topic = topics.DEAD_LETTERS
        if raw is None:
            return RecordFact(topic, partition, offset, timestamp_ms, bytes(16), None, digest)
        return RecordFact(topic, partition, offset, timestamp_ms, case_id_of(raw).bytes, event_id_of(raw).bytes, digest)

    def entry(
        self, partition: int, offset: int, timestamp_ms: int, key: bytes | None, value: bytes
    ) -> EntryFact | Unreadable:
        """The fact of an audit entry."""
        try:
            datum = self._whole(value)
            case_id, event_id = UUID(datum["case_id"]), UUID(datum["event_id"])
            named, attributes = datum["input_hash"], datum["attributes"]
            return EntryFact(
                partition,
                offset,
                timestamp_ms,
                case_id.bytes,
                event_id.bytes,
                UUID(attributes["ack_event_id"]).bytes if "ack_event_id" in attributes else event_id.bytes,
                datum["stage"],
                datum["topic"],
                datum["outcome"],
                datum["decided_at"] // 1000,
                None if named is None else bytes.fromhex(named),
                bytes.fromhex(datum["output_hash"]),
                basis_of(datum),
                hashlib.sha256(value).digest()[:8],
                attributes.get("topic", ""),
                _followers(datum),
                key == f"{case_id}/{datum['stage']}/{event_id}".encode(),
            )
        except (UndecodableError, KeyError, ValueError, AttributeError, TypeError):
            return Unreadable(partition, offset, timestamp_ms, case_in_key(key))

    def datum(self, value: bytes) -> tuple[str, Any]:
        """Record name and plain content of a value, also of one that the contract refuses. Raises UndecodableError."""
        found = self._schema(value)
        if found is None:
            raise UndecodableError(f"the registry knows no schema id {schema_id_of(value)}")
        return found[0]["name"], _read(value, found[0], None)

    def _partly(self, value: bytes | None) -> Mapping[str, Any] | None:
        if value is None:
            return None
        try:
            found = self._schema(value)
            return None if found is None else _read(value, *found)
        except UndecodableError:
            return None

    def _whole(self, value: bytes) -> Any:
        name, datum = self.datum(value)
        if name != "vigia.v1.AuditEntry":
            raise UndecodableError("no audit entry")
        return datum

    def _schema(self, value: bytes) -> tuple[Any, Any] | None:
        schema_id = schema_id_of(value)
        if schema_id not in self._schemas:
            text = self._registry.schema(schema_id)
            self._schemas[schema_id] = None if text is None else _narrowed(text)
        return self._schemas[schema_id]


def dead_letter_origin(
    key: bytes | None, value: bytes | None, headers: Mapping[str, bytes], timestamp_ms: int
) -> RawInput | None:
    """The original record of a dead letter as its headers tell it; None where they are missing or no such thing."""
    try:
        return RawInput(
            topic=headers[PREFIX + "topic"].decode(),
            number=int(headers[PREFIX + "partition"]),
            offset=int(headers[PREFIX + "offset"]),
            timestamp_ms=timestamp_ms,
            key=key,
            value=value,
        )
    except (KeyError, ValueError, AttributeError):
        return None


def case_in_key(key: bytes | None) -> bytes | None:
    """The case in an audit key; None where there is none."""
    try:
        return UUID((key or b"").split(b"/", 1)[0].decode("ascii")).bytes
    except ValueError:
        return None


def basis_of(datum: Mapping[str, Any]) -> bytes:
    """Digest of what was decided by what."""
    text = "\n".join(str(datum.get(name) or "") for name in BASIS)
    return hashlib.sha256(text.encode()).digest()[:8]


def _followers(datum: Mapping[str, Any]) -> int:
    """Demands that a grading makes: each is published, or merged into one that stands."""
    if datum["topic"] != topics.GRADINGS or datum["stage"] != "grading":
        return 0
    if datum["outcome"].startswith("quarantined:"):
        return 1
    return sum(1 for name in datum["attributes"].get("escalations", "").split(",") if name)


def _narrowed(schema: str) -> tuple[Any, Any] | None:
    """The writer's schema, and the part of it that is wanted; None for what is no schema of a record."""
    try:
        plain = definitions.plain(json.loads(schema))
        written = fastavro.parse_schema(plain)
        wanted = [field for field in plain["fields"] if field["name"] in ("event_id", "case_id", *BASIS)]
        return written, fastavro.parse_schema({"type": "record", "name": written["name"], "fields": wanted})
    except Exception:  # whatever a foreign schema leads the parser to: its records hold no ids of ours
        return None


def _read(value: bytes, written: Any, wanted: Any) -> Any:
    buffer = BytesIO(value)
    buffer.seek(_HEADER)
    try:
        return fastavro.schemaless_reader(buffer, written, wanted)
    except Exception as error:  # fastavro raises what the bytes lead it to
        raise UndecodableError(type(error).__name__) from None


def _uuid(text: Any) -> bytes | None:
    try:
        return UUID(text).bytes
    except (ValueError, AttributeError, TypeError):
        return None
