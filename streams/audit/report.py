"""What a verification of the audit chain found: each finding named, with its place, and never with patient data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID

#: Findings kept with their place; of more than these only the number is kept. A whole topic that was tampered with
#: would otherwise fill the memory, and nobody reads more.
FINDINGS_KEPT = 10_000


class Kind(StrEnum):
    """What can be wrong. The first six speak of event records, the rest of the audit topic itself."""

    CHANGED = "changed"
    """The record's bytes, key or case are not those that its audit entry speaks of."""
    REMOVED = "removed"
    """An audit entry speaks of a record that is not in its topic, though retention cannot have deleted it."""
    FOREIGN = "foreign"
    """A record that no audit entry speaks of, and that waits for no stage."""
    DOUBLED = "doubled"
    """Two records, or two entries, of one decision."""
    LOST = "lost"
    """A stage has read past the record, and nothing was derived from it."""
    REUSED = "reused"
    """A record with other content under an event id that was used before, and no dead letter of it."""
    BROKEN_LINK = "broken_link"
    """An entry was derived from something that leads back to no ingested record of its case."""
    ENTRY_CHANGED = "entry_changed"
    """An audit entry contradicts its key, its record, or an earlier writing of itself."""
    ENTRY_REMOVED = "entry_removed"
    """An audit entry was deleted, and not by an erasure of its case."""
    ENTRY_FOREIGN = "entry_foreign"
    """An audit entry that no stage writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFinding:
    """One thing that is wrong. `topic`, `partition`, `offset` say where the record or the entry lies that shows it."""

    kind: Kind
    topic: str
    partition: int
    offset: int
    case_id: UUID | None
    event_id: UUID | None
    detail: str

    def __str__(self) -> str:
        return f"{self.kind.value}: {self.topic}[{self.partition}]@{self.offset} case {self.case_id}: {self.detail}"

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "kind": self.kind.value,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "case_id": None if self.case_id is None else str(self.case_id),
            "event_id": None if self.event_id is None else str(self.event_id),
            "detail": self.detail,
        }


@dataclass(slots=True, kw_only=True)
class Report:
    """The result of a verification. What is only counted is in order:

    `pending`: published, not yet taken up. `expired`: older than its topic's retention. `repeated`: the same event
    published again, which the pipeline leaves out. `redriven`: sent again from the dead letters. `quarantined`: records
    that went to the dead letters. `erased`: traces of cases whose audit was erased. `recent`: entries newer than the
    snapshot of the records.
    """

    records: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    pending: int = 0
    expired: int = 0
    repeated: int = 0
    redriven: int = 0
    quarantined: int = 0
    erased: int = 0
    recent: int = 0
    erased_cases: int = 0
    broken: Counter[Kind] = field(default_factory=Counter)
    findings: list[AuditFinding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether the chain holds."""
        return not self.broken

    def found(self, finding: AuditFinding) -> None:
        """Count a finding, and keep it while there are not too many."""
        self.broken[finding.kind] += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(finding)

    def add(self, other: Report) -> None:
        """Take in the report on another part of the cases."""
        self.records.update(other.records)
        for name in ("entries", *COUNTED):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for finding in other.findings:
            self.found(finding)
        self.broken.update(other.broken - Counter(finding.kind for finding in other.findings))
        self.notes += (note for note in other.notes if note not in self.notes)

    def counted(self) -> Mapping[str, int]:
        """What is in order and only counted, by name."""
        return {name: getattr(self, name) for name in COUNTED}

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "clean": self.clean,
            "records": dict(sorted(self.records.items())),
            "entries": self.entries,
            **self.counted(),
            "broken": {kind.value: self.broken[kind] for kind in Kind if self.broken[kind]},
            "findings": [finding.as_json() for finding in self.findings],
            "notes": self.notes,
        }


COUNTED = ("pending", "expired", "repeated", "redriven", "quarantined", "erased", "recent", "erased_cases")
