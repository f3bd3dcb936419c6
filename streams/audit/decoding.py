"""From the bytes of records to facts. Only what matters is decoded: a whole grading takes three times as long."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from schemas import binary
from schemas.envelope.dead_letter import READER, case_id_of, event_id_of
from schemas.envelope.raw import RawRecord
from schemas.errors import UndecodableError
from schemas.events.content import content_hash_of
from schemas.writers import HEADER, Schemas, Writers, schema_id_of
from streams import topics
from streams.audit.facts import INTERNAL, INTO, EntryFact, RecordFact, Unreadable, case_in_key, uuid_bytes
from streams.audit.limits import REDRIVEN
from streams.pipeline import REMARKED_ONLY

_CASES = frozenset(topics.CASES.values())
#: What a record says of its own origin, and its audit entry repeats; on a grading the severity too.
BASIS = ("source_event_id", "model_version", "policy_version")
#: What is read of a record that is no audit entry.
PARTLY = frozenset({"event_id", "case_id", "severity", *BASIS})
#: And of a case event, to tell a repetition from another event under its id.
_OF_CASES = PARTLY | {"captured_at", "patient_token", "image", "context", "synthetic"}


class FactReader:
    """Turns records into facts; asks the registry once a schema id. Raises RegistryUnavailableError."""

    def __init__(self, registry: Schemas) -> None:
        self._writers = Writers(registry)
        self._narrowed: dict[tuple[str, int], Any] = {}

    def record(
        self, topic: str, partition: int, offset: int, timestamp_ms: int, key: bytes | None, value: bytes | None
    ) -> RecordFact:
        """The fact of a record of an event topic other than the dead letters (see `dead_letter`)."""
        digest = hashlib.sha256(value or b"").digest()
        case_id = _case_of(key, topic, partition, offset)
        datum = self._partly(topic, value)
        if datum is None:
            return RecordFact(topic, partition, offset, timestamp_ms, case_id, None, digest)
        event_id, named = uuid_bytes(datum.get("event_id")), uuid_bytes(datum.get("case_id"))
        basis = b""
        if topic in INTERNAL:
            basis = _basis(datum, datum.get("severity") if topic == topics.GRADINGS else None)
        elif topic in _CASES:
            basis = content_hash_of(datum)[:8]
        return RecordFact(topic, partition, offset, timestamp_ms, case_id, event_id, digest, basis, named == case_id)

    def dead_letter(
        self, partition: int, offset: int, timestamp_ms: int, raw: RawRecord | None, value: bytes | None
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
            case_id, event_id = uuid_bytes(datum["case_id"]), uuid_bytes(datum["event_id"])
            if case_id is None or event_id is None:
                return Unreadable(partition, offset, timestamp_ms, case_in_key(key))
            named, attributes = datum["input_hash"], datum["attributes"]
            return EntryFact(
                partition,
                offset,
                timestamp_ms,
                case_id,
                event_id,
                _subject(datum) or event_id,
                datum["stage"],
                datum["topic"],
                datum["outcome"],
                datum["decided_at"] // 1000,
                None if named is None else bytes.fromhex(named),
                bytes.fromhex(datum["output_hash"]),
                _basis(datum, _severity(datum)),
                hashlib.sha256(value).digest()[:8],
                _origin(attributes),
                _unread(datum),
                _followers(datum),
                key == f"{datum['case_id']}/{datum['stage']}/{datum['event_id']}".encode(),
            )
        except (UndecodableError, KeyError, ValueError, AttributeError, TypeError):
            return Unreadable(partition, offset, timestamp_ms, case_in_key(key))

    def datum(self, value: bytes, topic: str) -> tuple[str, Any]:
        """Record name and plain content of a value of `topic`, also of one whose values the contract refuses.

        Raises UndecodableError.
        """
        writer = self._writers.writer(topic, schema_id_of(value))
        return writer.name, binary.datum(value, HEADER.size, writer)

    def _partly(self, topic: str, value: bytes | None) -> Mapping[str, Any] | None:
        if value is None:
            return None
        try:
            key = (topic, schema_id_of(value))
            writer = self._writers.writer(*key)
            if key not in self._narrowed:
                self._narrowed[key] = binary.narrowed(writer, _OF_CASES if topic in _CASES else PARTLY)
            found: Mapping[str, Any] = binary.datum(value, HEADER.size, writer, self._narrowed[key])
            return found
        except UndecodableError:
            return None

    def _whole(self, value: bytes) -> Any:
        name, datum = self.datum(value, topics.AUDIT)
        if name != "vigia.v1.AuditEntry":
            raise UndecodableError("no audit entry")
        return datum


def _basis(datum: Mapping[str, Any], severity: str | None) -> bytes:
    text = "\n".join(str(datum.get(name) or "") for name in BASIS) + f"\n{severity or ''}"
    return hashlib.sha256(text.encode()).digest()[:8]


def _severity(entry: Mapping[str, Any]) -> str | None:
    """The severity that the entry on a grading tells."""
    if entry["topic"] != topics.GRADINGS:
        return None
    kind, _, rest = entry["outcome"].partition(":")
    told: str | None = rest if kind == "graded" else entry["attributes"].get("severity")
    return told


def _origin(attributes: Mapping[str, str]) -> str:
    """Topic of the record that a quarantine is about.

    Empty where a further reader refused what others wrote: the entry of the first reader accounts for the record.
    """
    topic = attributes.get("topic", "")
    return "" if topic in INTO and attributes.get(READER) else topic


def _unread(datum: Mapping[str, Any]) -> tuple[int, int] | None:
    """Where a record lies that nobody had read when it went to the dead letters, or was sent again from there."""
    if datum["outcome"] == REDRIVEN and "unread" in datum["attributes"]:
        return 0, 0
    if datum["topic"] != topics.DEAD_LETTERS or datum["input_hash"] is not None:
        return None
    return int(datum["attributes"]["partition"]), int(datum["attributes"]["offset"])


def _followers(datum: Mapping[str, Any]) -> int:
    """Demands that a grading makes: each is published, or merged into one that stands."""
    if datum["topic"] != topics.GRADINGS or datum["stage"] != "grading":
        return 0
    if datum["outcome"].startswith("quarantined:"):
        return 1
    return sum(1 for name in datum["attributes"].get("escalations", "").split(",") if name)


def _subject(entry: Mapping[str, Any]) -> bytes | None:
    """Event id of the answer that the entry speaks of; None where it is the entry's own."""
    if entry["topic"] in REMARKED_ONLY:
        # Of an order: the entry is one of many that an order leads to, and has an id of its own.
        return uuid_bytes(entry["source_event_id"])
    if entry["stage"] != "acknowledgement" or "ack_event_id" not in entry["attributes"]:
        return None
    return UUID(entry["attributes"]["ack_event_id"]).bytes


def _case_of(key: bytes | None, topic: str, partition: int, offset: int) -> bytes:
    if key is not None and len(key) == 36 and (usual := uuid_bytes(key.decode("latin-1"))) is not None:
        return usual
    return case_id_of(
        RawRecord(topic=topic, partition=partition, offset=offset, timestamp_ms=0, key=key, value=None)
    ).bytes
