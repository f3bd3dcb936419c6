"""Deterministic ids: the same input has the same id today and in a replay, so that doing a thing twice is seen.

All are UUIDv5 (RFC 9562) over a fixed namespace. The parts of a name are joined by a newline, which occurs in none of
them, and begin with the kind of id, so that no two kinds can meet.
"""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid5

#: Never to change: ids already on topics were made with it.
NAMESPACE = UUID("6f1d2f0e-5a0b-5c36-9a53-0d8f1c9b7e42")


def case_id(patient_token: str | None, sha256: str, captured_at: datetime) -> UUID:
    """The case of this patient, this picture (`sha256`, hex) and this time (aware; counted in microseconds)."""
    if captured_at.utcoffset() is None:
        raise ValueError("captured_at must have a time zone")
    instant = captured_at.astimezone(UTC).isoformat(timespec="microseconds")
    return _id("case", patient_token or "", sha256, instant)


def case_event_id(case_id: UUID, lane: str, content: str = "") -> UUID:
    """The event that puts the case into `lane`: a case may be published again as an emergency, not twice alike.

    `content` stands for what is known of the patient (`schemas.events.content.context_digest`): corrected, it is a
    revision of the case, with an id of its own.
    """
    return _id("case-event", str(case_id), str(lane), *([content] if content else []))


def derived_id(source_event_id: UUID, stage: str, version: str) -> UUID:
    """The event that `stage` derives from another; `version` is that of the model or policy which decided."""
    return _id("derived", str(source_event_id), str(stage), version)


def escalation_id(grading_event_id: UUID, type: str) -> UUID:
    """The escalation of this type that a grading asks for; it keeps its id over all its levels."""
    return _id("escalation", str(grading_event_id), str(type))


def escalation_event_id(escalation_id: UUID, level: int) -> UUID:
    """The event that raises an escalation to `level` (0 first)."""
    return _id("escalation-event", str(escalation_id), str(level))


def _id(*parts: str) -> UUID:
    return uuid5(NAMESPACE, "\n".join(parts))
