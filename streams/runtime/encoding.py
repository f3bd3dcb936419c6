"""From a stage's result to the bytes of a transaction: every output with its audit entry.

No stage can forget its audit, because no stage writes it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Protocol

from schemas.envelope.audit import audit_key, sha256_hex
from schemas.envelope.partitioner import partition_of_case
from schemas.envelope.raw import RawRecord
from schemas.events import AuditEntry
from streams.runtime.records import AuditNote, Forward, Input, Outgoing, Output, Result, StateChange
from streams.topics import AUDIT


class Encoder(Protocol):
    """What the runtime needs of `schemas.serde.Serde`."""

    def encode(self, event: Any, topic: str) -> bytes:
        """The event in Confluent wire format, with the schema registered for the topic."""


class ResultEncoder:
    """Turns results into records. Holds no state but where to write."""

    def __init__(self, serde: Encoder, state_topic: str) -> None:
        self._serde = serde
        self._state_topic = state_topic
        #: Partitions of every topic; the worker sets it from the broker's own metadata.
        self.partitions = 1

    def records(self, record: Input, result: Result) -> list[Outgoing]:
        """All records of one input's result, in the order of its parts: outputs, audit, state, forwarded."""
        now = datetime.now(UTC)
        records: list[Outgoing] = []
        for output in result.outputs:
            value = output.value or self._serde.encode(output.event, output.topic)
            event: Any = output.event
            key = str(event.case_id).encode()
            partition = partition_of_case(event.case_id.bytes, self.partitions)
            records.append(Outgoing(output.topic, key, value, partition=partition))
            records.append(self._audit(self._entry(record, output, value, now)))
        records.extend(self._audit(self._note(note, now)) for note in result.notes)
        records.extend(self.state_record(change, record.raw.partition) for change in result.state)
        if result.forward is not None:
            records.append(_forwarded(record.raw, result.forward))
        return records

    def state_record(self, change: StateChange, partition: int) -> Outgoing:
        """A state change on `partition` of the state topic; a removed key is a tombstone."""
        return Outgoing(self._state_topic, change.key, change.value, partition=partition)

    def _audit(self, entry: AuditEntry) -> Outgoing:
        key = audit_key(entry.case_id, entry.stage, entry.event_id)
        # By the case, not by the whole key: a case's entries lie together, so that looking one up reads one partition.
        partition = partition_of_case(entry.case_id.bytes, self.partitions)
        return Outgoing(AUDIT, key, self._serde.encode(entry, AUDIT), partition=partition)

    @staticmethod
    def _entry(record: Input, output: Output, value: bytes, now: datetime) -> AuditEntry:
        event: Any = output.event
        return AuditEntry(
            event_id=event.event_id,
            case_id=event.case_id,
            stage=output.stage,
            decided_at=now,
            topic=output.topic,
            outcome=output.outcome,
            source_event_id=getattr(event, "source_event_id", None),
            input_hash=output.parent_hash or record.hash,
            output_hash=sha256_hex(value),
            model_version=getattr(event, "model_version", None),
            policy_version=getattr(event, "policy_version", None),
            attributes=output.attributes,
        )

    @staticmethod
    def _note(note: AuditNote, now: datetime) -> AuditEntry:
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
            model_version=None,
            policy_version=None,
            attributes=note.attributes,
        )


def _forwarded(raw: RawRecord, forward: Forward) -> Outgoing:
    return Outgoing(forward.topic, forward.key, raw.value, headers=raw.headers)
