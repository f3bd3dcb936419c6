"""The values of a campaign: records sent and read, faults and their times, and the verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Findings kept with their text; further ones are only counted.
FINDINGS_KEPT = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A record that was published. `event` is None when its bytes encode no event."""

    topic: str
    key: bytes | None
    value: bytes | None
    event: Any = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    #: False when the broker never confirmed it: the record may be on the topic or not, and both are correct.
    acked: bool = True
    #: Reason codes of which its dead letter must name one; empty when the record must be processed.
    refused: frozenset[str] = frozenset()
    #: Further reason codes that its dead letter may name, where it may be processed or not, and both are correct.
    may_refuse: frozenset[str] = frozenset()

    @property
    def hostile(self) -> bool:
        """Whether it was made to be a burden for whatever lies behind it."""
        return bool(self.refused or self.may_refuse)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRecord:
    """A committed record. `event` is None for dead letters and for bytes that encode no event."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    event: Any = None

    @property
    def place(self) -> tuple[str, int, int]:
        """Where it lies."""
        return self.topic, self.partition, self.offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Excuse:
    """A period (epoch seconds) in which cases may go to people because a dependency was away."""

    reason: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A fault that was carried out; `start` and `end` in epoch seconds (equal for an instantaneous one)."""

    kind: str
    target: str
    start: float
    end: float


class Violation(StrEnum):
    """The kinds of findings."""

    LOST = "lost"
    """A record that must have been written was not."""
    DUPLICATED = "duplicated"
    """One decision was written twice."""
    WRONG = "wrong"
    """A record differs from what its inputs demand."""
    DISORDERED = "out_of_order"
    """Results of one case are not in the order of its inputs."""
    INVENTED = "invented"
    """A record without an input that demands it."""
    UNAUDITED = "unaudited"
    """A record without its audit entry."""
    BROKEN_LINK = "broken_link"
    """An audit entry whose hashes do not lead to its record or to that record's cause."""
    SILENCED = "silenced"
    """A case that asked for people, and none was asked."""
    LATE = "late"
    """An escalation, or its next level after a missed deadline, came later than the limit."""


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The verifier's findings by kind; `counted` is what is correct and only counted."""

    counts: Counter[Violation] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    #: Seconds from a case's record to its decision, of those that lay directly behind a record that nobody can process.
    stuck_s: list[float] = field(default_factory=list)

    def add(self, kind: Violation, detail: str) -> None:
        """Count a finding. The detail names topics, offsets and ids, never a patient."""
        self.counts[kind] += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(f"{kind.value}: {detail}")

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not self.counts

    def as_json(self) -> dict[str, Any]:
        """The verdict in plain values; every kind is named, also at zero."""
        return {
            "clean": self.clean,
            "counts": {kind.value: self.counts[kind] for kind in Violation},
            "counted": dict(sorted(self.counted.items())),
            "findings": self.findings,
        }


def where(seen: SeenRecord) -> str:
    """A record's topic, partition and offset, as text for a finding."""
    return f"{seen.topic}[{seen.partition}]@{seen.offset}"
