"""What a verification keeps in memory: records as packed bytes, and suspicions until erasures are known."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple
from uuid import UUID

from streams import topics
from streams.audit.facts import EntryFact, RecordFact, Unreadable
from streams.audit.report import AuditFinding, Kind, Report
from streams.pipeline import COVERED, REMARKED_ONLY

_PACKED = struct.Struct("<32s8s16s?Hqq")
_TOPICS = (*COVERED, *REMARKED_ONLY)
_INDEX = {topic: bytes([at]) for at, topic in enumerate(_TOPICS)}

#: Suspicions kept until it is known which cases were erased; what comes after is counted as it is.
SUSPECTS_KEPT = 100_000


class Place(NamedTuple):
    """A record: what it is (hashes, case) and where it lies."""

    digest: bytes
    basis: bytes
    case_id: bytes
    sound: bool
    partition: int
    offset: int
    timestamp_ms: int


class Records:
    """Records by topic and event id. An object of 99 bytes each, where a tuple of objects would take 400."""

    def __init__(self) -> None:
        self._unclaimed: dict[bytes, bytes] = {}
        self._claimed: dict[bytes, bytes] = {}
        #: Further records of an event, by their hash: somebody may publish one event as often as he likes.
        self._further: dict[bytes, dict[bytes, deque[bytes]]] = {}
        self._nameless: list[tuple[str, bytes]] = []

    def add(self, fact: RecordFact) -> Place:
        """Keep a record."""
        place = Place(fact.digest, fact.basis, fact.case_id, fact.sound, fact.partition, fact.offset, fact.timestamp_ms)
        packed = _PACKED.pack(*place)
        if fact.event_id is None:
            self._nameless.append((fact.topic, packed))
            return place
        key = _INDEX[fact.topic] + fact.event_id
        if self._unclaimed.setdefault(key, packed) is not packed:
            self._keep_further(key, place.digest, packed)
        return place

    def claim(self, topic: str, event_id: bytes) -> None:
        """From now on an entry speaks of this event."""
        key = _INDEX[topic] + event_id
        packed = self._unclaimed.pop(key, None)
        if packed is not None:
            self._claimed[key] = packed

    def first(self, topic: str, event_id: bytes) -> Place | None:
        """The record that stands for the event: the oldest of its partition, or the one that its entry speaks of."""
        key = _INDEX[topic] + event_id
        packed = self._claimed.get(key) or self._unclaimed.get(key)
        return None if packed is None else _place(packed)

    def find(self, topic: str, event_id: bytes, digest: bytes) -> Place | None:
        """The oldest record of this event with this hash. Takes as long however many copies there are."""
        first = self.first(topic, event_id)
        if first is None or first.digest == digest:
            return first
        copies = self._further.get(_INDEX[topic] + event_id, {}).get(digest)
        return _place(copies[0]) if copies else None

    def matched(self, topic: str, event_id: bytes, place: Place) -> None:
        """Of all records of this event, this one, which `find` has told, is its entry's; the others are its copies."""
        key = _INDEX[topic] + event_id
        claimed = self._claimed[key]
        if _place(claimed).digest != place.digest:
            self._claimed[key] = self._further[key][place.digest].popleft()
            self._keep_further(key, _place(claimed).digest, claimed)

    def is_claimed(self, topic: str, event_id: bytes) -> bool:
        """Whether an entry speaks of this event."""
        return _INDEX[topic] + event_id in self._claimed

    def unclaimed(self) -> Iterator[tuple[str, bytes | None, list[Place]]]:
        """Topic, event id and records of every event that no entry speaks of."""
        for topic, packed in self._nameless:
            yield topic, None, [_place(packed)]
        for key in self._unclaimed:
            topic = _TOPICS[key[0]]
            if topic not in REMARKED_ONLY:
                yield topic, key[1:], [_place(packed) for packed in (self._unclaimed[key], *self._copies_of(key))]

    def copies(self) -> Iterator[tuple[str, bytes, list[Place]]]:
        """Topic, event id and the records beyond the first, of every event that an entry speaks of."""
        for key in self._further:
            if key in self._claimed:
                yield _TOPICS[key[0]], key[1:], [_place(packed) for packed in self._copies_of(key)]

    def _keep_further(self, key: bytes, digest: bytes, packed: bytes) -> None:
        self._further.setdefault(key, {}).setdefault(digest, deque()).append(packed)

    def _copies_of(self, key: bytes) -> Iterator[bytes]:
        return chain.from_iterable(self._further.get(key, {}).values())


class Suspects:
    """Findings until it is known which cases were erased: what was written before an erasure is no finding."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._kept: list[tuple[int, AuditFinding]] = []
        self._erased: dict[bytes, int] = {}

    def erased(self, case_id: bytes, at_ms: int) -> None:
        """The case was erased at this time (milliseconds since the epoch)."""
        self._erased[case_id] = max(at_ms, self._erased.get(case_id, 0))

    def record(self, kind: Kind, topic: str, event_id: bytes | None, place: Place, detail: str) -> None:
        """Something is wrong with a record."""
        finding = AuditFinding(
            kind=kind,
            topic=topic,
            partition=place.partition,
            offset=place.offset,
            case_id=UUID(bytes=place.case_id),
            event_id=None if event_id is None else UUID(bytes=event_id),
            detail=detail,
        )
        self._keep(place.timestamp_ms, finding)

    def entry(self, kind: Kind, fact: EntryFact | Unreadable, detail: str) -> None:
        """Something is wrong with an audit entry."""
        finding = AuditFinding(
            kind=kind,
            topic=topics.AUDIT,
            partition=fact.partition,
            offset=fact.offset,
            case_id=None if fact.case_id is None else UUID(bytes=fact.case_id),
            event_id=UUID(bytes=fact.event_id) if isinstance(fact, EntryFact) else None,
            detail=detail,
        )
        self._keep(fact.timestamp_ms, finding)

    def settle(self) -> None:
        """Report everything that no erasure explains."""
        self._report.erased_cases = len(self._erased)
        for at_ms, finding in self._kept:
            erased_at = -1 if finding.case_id is None else self._erased.get(finding.case_id.bytes, -1)
            if at_ms <= erased_at:
                self._report.erased += 1
            else:
                self._report.found(finding)
        self._kept.clear()

    def _keep(self, at_ms: int, finding: AuditFinding) -> None:
        if len(self._kept) < SUSPECTS_KEPT:
            self._kept.append((at_ms, finding))
        else:
            self._report.found(finding)


def _place(packed: bytes) -> Place:
    return Place(*_PACKED.unpack(packed))
