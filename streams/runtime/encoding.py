"""From a stage's result to the bytes of a transaction: every output with its audit entry.

No stage can forget its audit, because no stage writes it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from schemas.envelope.audit import audit_key, sha256_hex
from schemas.envelope.dead_letter import FORWARDED
from schemas.envelope.partitioner import partition_of_case
from schemas.envelope.raw import RawRecord
from schemas.events import AuditEntry
from schemas.record import Record
from streams.runtime.records import AuditNote, Forward, Outgoing, Output, Result, StateChange
from streams.topics import AUDIT


class Encoder(Protocol):
    """What the runtime needs of `schemas.serde.Serde`."""

    def encode(self, event: Record, topic: str) -> bytes:
        """The event in Confluent wire format, with the schema registered for the topic."""


class ResultEncoder:
    """Turns results into records. Holds no state but where to write."""

    def __init__(self, serde: Encoder, state_topic: str) -> None:
        self._serde = serde
        self._state_topic = state_topic
        #: Partitions of every topic; the worker sets it from the broker's own metadata.
        self.partition_count = 1

    def records(self, source: RawRecord, source_hash: str | None, result: Result) -> list[Outgoing]:
        """All records of a result, in the order of its parts: outputs, audit, state, forwarded.

        `source` is the input that it is the result of, `source_hash` the SHA-256 (hex) of the input's value; None where
        nobody has read that.
        """
        now = datetime.now(UTC)
        records: list[Outgoing] = []
        for output in result.outputs:
            value = output.value or self._serde.encode(output.event, output.topic)
            case_id = output.event.case_id
            partition = partition_of_case(case_id.bytes, self.partition_count)
            records.append(Outgoing(output.topic, str(case_id).encode(), value, partition=partition))
            records.append(self._audit(_entry(source_hash, output, value, now)))
        records.extend(self._audit(_note_entry(note, now)) for note in result.notes)
        records.extend(self.state_record(change, source.partition) for change in result.state)
        if result.forward is not None:
            records.append(_forwarded(source, result.forward))
        return records

    def state_record(self, change: StateChange, partition: int) -> Outgoing:
        """A state change on `partition` of the state topic; a removed key is a tombstone."""
        return Outgoing(self._state_topic, change.key, change.value, partition=partition)

    def _audit(self, entry: AuditEntry) -> Outgoing:
        key = audit_key(entry.case_id, entry.stage, entry.event_id)
        # By the case, not by the whole key: a case's entries lie together, so that looking one up reads one partition.
        partition = partition_of_case(entry.case_id.bytes, self.partition_count)
        return Outgoing(AUDIT, key, self._serde.encode(entry, AUDIT), partition=partition)


def _entry(source_hash: str | None, output: Output, value: bytes, now: datetime) -> AuditEntry:
    event = output.event
    return AuditEntry(
        event_id=event.event_id,
        case_id=event.case_id,
        stage=output.stage,
        decided_at=now,
        topic=output.topic,
        outcome=output.outcome,
        source_event_id=getattr(event, "source_event_id", None),
        input_hash=output.parent_hash or source_hash,
        output_hash=sha256_hex(value),
        model_version=getattr(event, "model_version", None),
        policy_version=getattr(event, "policy_version", None),
        attributes=output.attributes,
    )


def _note_entry(note: AuditNote, now: datetime) -> AuditEntry:
    return AuditEntry(
        event_id=note.event_id,
        case_id=note.case_id,
        stage=note.stage,
        decided_at=now,
        topic=note.topic,
        outcome=note.outcome,
        source_event_id=note.source_event_id,
        input_hash=note.parent_hash,
        output_hash=note.output_hash,
        attributes=note.attributes,
    )


def _forwarded(raw: RawRecord, forward: Forward) -> Outgoing:
    return Outgoing(forward.topic, forward.key, raw.value, headers=(*raw.headers, (FORWARDED, b"1")))
