"""From a stage's result to the bytes of a transaction: every output with its audit entry, in one place.

No stage can forget its audit, because no stage writes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol
from uuid import UUID

from schemas.events import AuditEntry, PipelineStage
from streams.partitioner import partition_of
from streams.runtime.records import Forward, Input, Noted, Outgoing, Output, RawInput, Result, StateChange

AUDIT_TOPIC = "vigia.audit"


class Encoder(Protocol):
    """What the runtime needs of `schemas.serde.Serde`."""

    def encode(self, event: Any, topic: str) -> bytes:
        """The event in Confluent wire format, with the schema registered for the topic."""


def sha256_hex(value: bytes | None) -> str:
    """Hash of a record's value as the audit chain uses it; a tombstone counts as empty."""
    return hashlib.sha256(value or b"").hexdigest()


def audit_key(case_id: UUID, stage: PipelineStage, event_id: UUID) -> bytes:
    """Key of an audit entry: unique a decision, since compaction keeps only the newest record of a key."""
    return f"{case_id}/{stage.value}/{event_id}".encode()


class ResultEncoder:
    """Turns results into records. Holds no state but where to write."""

    def __init__(self, serde: Encoder, state_topic: str) -> None:
        self._serde = serde
        self._state_topic = state_topic
        #: Partitions of every topic; the worker sets it from the broker's own metadata.
        self.partitions = 1

    def records(self, given: Input, result: Result) -> list[Outgoing]:
        """All records of one input's result, in the order of its parts: outputs, audit, state, forwarded."""
        now = datetime.now(UTC)
        records: list[Outgoing] = []
        for output in result.outputs:
            value = output.value or self._serde.encode(output.event, output.topic)
            event: Any = output.event
            key = str(event.case_id).encode()
            records.append(Outgoing(output.topic, key, value, partition=_partition(key, self.partitions)))
            records.append(self._audit(self._entry(given, output, value, now)))
        records.extend(self._audit(self._noted(noted, now)) for noted in result.noted)
        records.extend(self.state_record(change, given.raw.number) for change in result.state)
        if result.forward is not None:
            records.append(_forwarded(given.raw, result.forward))
        return records

    def state_record(self, change: StateChange, number: int) -> Outgoing:
        """A state change on the state topic's partition of the same number; a removed key is a tombstone."""
        return Outgoing(self._state_topic, change.key, change.value, partition=number)

    def _audit(self, entry: AuditEntry) -> Outgoing:
        key = audit_key(entry.case_id, entry.stage, entry.event_id)
        # By the case, not by the whole key: a case's entries lie together, so that looking one up reads one partition.
        partition = _partition(str(entry.case_id).encode(), self.partitions)
        return Outgoing(AUDIT_TOPIC, key, self._serde.encode(entry, AUDIT_TOPIC), partition=partition)

    @staticmethod
    def _entry(given: Input, output: Output, value: bytes, now: datetime) -> AuditEntry:
        event: Any = output.event
        return AuditEntry(
            event_id=event.event_id,
            case_id=event.case_id,
            stage=output.stage,
            decided_at=now,
            topic=output.topic,
            outcome=output.outcome,
            source_event_id=getattr(event, "source_event_id", None),
            input_hash=output.parent_hash or given.hash,
            output_hash=sha256_hex(value),
            model_version=getattr(event, "model_version", None),
            policy_version=getattr(event, "policy_version", None),
            attributes=output.attributes,
        )

    @staticmethod
    def _noted(noted: Noted, now: datetime) -> AuditEntry:
        return AuditEntry(
            event_id=noted.event_id,
            case_id=noted.case_id,
            stage=noted.stage,
            decided_at=now,
            topic=noted.topic,
            outcome=noted.outcome,
            source_event_id=noted.source_event_id,
            input_hash=noted.parent_hash,
            output_hash=noted.output_hash,
            model_version=None,
            policy_version=None,
            attributes=noted.attributes,
        )


@lru_cache(maxsize=4096)
def _partition(key: bytes, partitions: int) -> int:
    # The hash is pure Python and takes longer than encoding the event; a case's records come close together.
    return partition_of(key, partitions)


def _forwarded(raw: RawInput, forward: Forward) -> Outgoing:
    return Outgoing(forward.topic, forward.key, raw.value, headers=raw.headers)


def freeze(attributes: Mapping[str, object]) -> dict[str, str]:
    """Audit attributes as text; None is left out."""
    return {name: str(value) for name, value in attributes.items() if value is not None}
