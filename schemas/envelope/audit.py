"""How an audit entry names what it is about: hashes of records, the key of the entry, attributes as text."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from uuid import UUID

from schemas.events import PipelineStage

#: Outcomes of acknowledgement entries after which somebody has taken the escalation up; a repeated answer counts.
ACCEPTED = frozenset({"acknowledged", "resolved", "already_acknowledged"})


def sha256_hex(value: bytes | None) -> str:
    """Hash (hex) of a record's value as the audit chain uses it; a tombstone counts as empty."""
    return hashlib.sha256(value or b"").hexdigest()


def audit_key(case_id: UUID, stage: PipelineStage, event_id: UUID) -> bytes:
    """Key of an audit entry: unique per decision, since compaction keeps only the newest record of a key."""
    return f"{case_id}/{stage.value}/{event_id}".encode()


def audit_attributes(values: Mapping[str, object]) -> dict[str, str]:
    """Attributes of an audit entry as text; None is left out."""
    return {name: str(value) for name, value in values.items() if value is not None}
