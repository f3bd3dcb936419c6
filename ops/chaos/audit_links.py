"""Every record against its audit entry, every entry against its record and cause: a second pair of eyes beside
`vigia audit verify`, written from the contract alone, sharing with it no code but that which reads topics."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from ops.chaos.values import SeenRecord, Verdict, Violation, where
from schemas.events import AuditEntry, PipelineStage
from streams import topics
from streams.pipeline import COVERED, DECISIONS


def check(by_topic: Mapping[str, Sequence[SeenRecord]], verdict: Verdict) -> None:
    """Report unaudited records, doubled entries, and hashes that lead nowhere."""
    entries: dict[tuple[str, UUID], list[AuditEntry]] = defaultdict(list)
    keys: set[bytes | None] = set()
    hashes: dict[UUID, set[str]] = defaultdict(set)
    source: dict[UUID, set[str]] = defaultdict(set)
    records = [record for topic in COVERED for record in by_topic.get(topic, ())]
    for record in records:
        digest = hashlib.sha256(record.value or b"").hexdigest()
        if (case_id := _case_of(record)) is not None:
            hashes[case_id].add(digest)
        if record.event is not None:
            source[record.event.event_id].add(digest)
    for record in by_topic.get(topics.AUDIT, ()):
        entry = record.event
        if not isinstance(entry, AuditEntry):
            verdict.add(Violation.BROKEN_LINK, f"{where(record)} is no audit entry")
            continue
        if record.key in keys:
            verdict.add(Violation.DUPLICATED, f"{where(record)}: an audit entry written twice")
        keys.add(record.key)
        entries[entry.topic, entry.event_id].append(entry)
        if entry.stage is not PipelineStage.CONTROL:
            _check_entry(record, entry, hashes, source, verdict)
    verdict.counted["audit entries"] = len(keys)
    for topic in DECISIONS:
        for record in by_topic.get(topic, ()):
            _check_record(record, entries, verdict)
    _check_ingest(by_topic, entries, verdict)


def _check_entry(
    record: SeenRecord,
    entry: AuditEntry,
    hashes: Mapping[UUID, set[str]],
    source: Mapping[UUID, set[str]],
    verdict: Verdict,
) -> None:
    known = hashes.get(entry.case_id, set())
    if entry.output_hash not in known:
        verdict.add(Violation.BROKEN_LINK, f"{where(record)} speaks of a record of {entry.topic} that is not there")
    if entry.input_hash is not None and entry.input_hash not in known:
        verdict.add(Violation.BROKEN_LINK, f"{where(record)} was derived from nothing of its case")
    first = entry.stage in (PipelineStage.INFERENCE, PipelineStage.GRADING) or entry.outcome.startswith("escalated:")
    cause = entry.source_event_id
    if first and cause is not None and cause in source and entry.input_hash not in source[cause]:
        verdict.add(Violation.BROKEN_LINK, f"{where(record)} names another cause than its hash")


def _check_record(record: SeenRecord, entries: Mapping[tuple[str, UUID], list[AuditEntry]], verdict: Verdict) -> None:
    if record.event is None:
        return
    found = entries.get((record.topic, record.event.event_id), [])
    digest = hashlib.sha256(record.value or b"").hexdigest()
    if not found:
        verdict.add(Violation.UNAUDITED, where(record))
    elif all(entry.output_hash != digest for entry in found):
        verdict.add(Violation.BROKEN_LINK, f"{where(record)} has other bytes than its audit entry says")


def _check_ingest(
    by_topic: Mapping[str, Sequence[SeenRecord]],
    entries: Mapping[tuple[str, UUID], list[AuditEntry]],
    verdict: Verdict,
) -> None:
    """Cases that were judged have an entry on their reception."""
    judged = {
        record.event.source_event_id for record in by_topic.get(topics.INFERENCES, ()) if record.event is not None
    }
    for topic in topics.CASES.values():
        for event_id in {record.event.event_id for record in by_topic.get(topic, ()) if record.event is not None}:
            if event_id in judged and (topic, event_id) not in entries:
                verdict.add(Violation.UNAUDITED, f"reception of event {event_id} on {topic}")
    letters = sum(len(found) for (topic, _), found in entries.items() if topic == topics.DEAD_LETTERS)
    for _ in range(len(by_topic.get(topics.DEAD_LETTERS, ())) - letters):
        verdict.add(Violation.UNAUDITED, "a dead letter")


def _case_of(record: SeenRecord) -> UUID | None:
    try:
        return UUID((record.key or b"").decode("ascii"))
    except ValueError:
        return None
