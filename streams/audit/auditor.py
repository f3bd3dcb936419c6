"""Verifies the audit of a running system, in an order of reading in which a working pipeline raises no false alarm.

1. How far the audit is committed (A). An entry before A has its record in the topics already.
2. How far the event topics are written (E), and wait until no transaction before E is open.
3. How far the stages have come, and only then how far the audit is written (B). The entry of every record before E, and
   all that a stage derived from what it has read past, lie before B.
4. Records are read to E, then the audit to B. A missing record is held against entries before A only; a missing entry
   against all to B.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from uuid import UUID

from schemas.envelope.dead_letter import origin_of
from schemas.envelope.partitioner import partition_of_case
from schemas.writers import Schemas
from streams import topics
from streams.audit.decoding import FactReader
from streams.audit.facts import EntryFact, RecordFact, Unreadable, case_in_key
from streams.audit.limits import Limits
from streams.audit.parts import Parts
from streams.audit.report import Kind, Report
from streams.audit.verifier import ChainVerifier
from streams.broker.cluster import Cluster, spans
from streams.broker.headers import headers_of
from streams.broker.read import Place, Progress, Span, UnreadableError
from streams.pipeline import ANSWERED_BY, COVERED, REMARKED_ONLY

#: Bytes that verification keeps of a record and of an entry (tests/unit/audit/test_memory.py holds them to it).
BYTES_A_RECORD, BYTES_AN_ENTRY = 300, 450
#: What it may keep at once. Beyond, facts are laid on disk by case and verified in parts (`streams.audit.parts`).
MEMORY_BYTES = 1 << 30
#: A case may have waited so long before it was taken up; by that its record is older than the entry about it.
WAITED_MS = topics.DAY_MS


@dataclass(frozen=True, slots=True)
class Ready:
    """How much there is to read: offsets, of which fewer may be records."""

    offsets: int
    parts: int


class Auditor:
    """Reads and verifies. `prefix` stands before every topic's name, as in a cluster that mirrors another one."""

    def __init__(self, bootstrap_servers: str, registry: Schemas, *, prefix: str = "") -> None:
        self._cluster = Cluster(bootstrap_servers)
        self._facts = FactReader(registry)
        self._prefix = prefix

    def verify(
        self,
        case_id: UUID | None = None,
        *,
        memory_bytes: int = MEMORY_BYTES,
        on_ready: Callable[[Ready], Progress] = lambda _: lambda _: None,
    ) -> Report:
        """The report on all cases, or on one.

        `on_ready` is told how much there is to read and returns what is told of the progress. Raises UnreadableError
        or RegistryUnavailableError when it cannot be verified.
        """
        counts = self._partitions()
        if case_id is None:
            return self._verify(counts, None, None, memory_bytes, on_ready)
        number = partition_of_case(case_id.bytes, counts[topics.AUDIT])
        report = self._verify(counts, case_id, number, memory_bytes, on_ready)
        if report.broken[Kind.REMOVED]:
            # A producer with another partitioner may have put it elsewhere.
            report = self._verify(counts, case_id, None, memory_bytes, on_ready)
        return report

    def _verify(
        self,
        counts: Mapping[str, int],
        case_id: UUID | None,
        number: int | None,
        memory_bytes: int,
        on_ready: Callable[[Ready], Progress],
    ) -> Report:
        cluster = self._cluster
        audit = self._places(topics.AUDIT, counts, number)
        events = [place for topic in (*COVERED, *REMARKED_ONLY) for place in self._places(topic, counts, number)]
        settled = cluster.committed_ends(audit)
        starts, written = cluster.starts(events), cluster.written_ends(events)
        cluster.wait_until_committed(written)
        limits = Limits(
            kept_since=self._kept_since(starts),
            taken_up=self._taken_up(events),
            settled={place[1]: offset for place, offset in settled.items()},
            partitions=counts[topics.AUDIT],
        )
        records, entries = spans(starts, written), spans(cluster.starts(audit), cluster.written_ends(audit))
        kept = _length(records) * BYTES_A_RECORD + _length(entries) * BYTES_AN_ENTRY
        parts = 1 if case_id is not None else max(1, math.ceil(kept / memory_bytes))
        progress = on_ready(Ready(_length(records) + _length(entries), parts))
        wanted = _Wanted(case_id)
        with nullcontext(ChainVerifier(limits)) if parts == 1 else Parts(limits, parts) as verifier:
            for fact in self._records(records, wanted, progress):
                verifier.record(fact)
            self._entries(entries, wanted, verifier, progress)
            report = verifier.report()
        report.notes += [f"topic {name} does not exist" for name in COVERED if name not in counts]
        return report

    def _partitions(self) -> dict[str, int]:
        """Topic (without the prefix) → number of partitions."""
        found = self._cluster.partitions()
        counts = {t.name: found[self._prefix + t.name] for t in topics.ALL if self._prefix + t.name in found}
        if topics.AUDIT not in counts:
            raise UnreadableError(f"there is no topic {self._prefix}{topics.AUDIT}: is this the right cluster?")
        return counts

    def _places(self, topic: str, counts: Mapping[str, int], number: int | None) -> list[Place]:
        """The partitions to read; always all of a topic that is not keyed by case."""
        numbers = range(counts.get(topic, 0))
        if number is not None and topic != topics.DEAD_LETTERS and topic not in REMARKED_ONLY:
            numbers = range(number, number + 1) if number in numbers else range(0)
        return [(self._prefix + topic, at) for at in numbers]

    def _name(self, topic: str) -> str:
        return topic.removeprefix(self._prefix)

    def _taken_up(self, events: Iterable[Place]) -> dict[Place, int]:
        by_group: dict[str, list[Place]] = {}
        for place in events:
            for group in ANSWERED_BY.get(self._name(place[0]), ()):
                by_group.setdefault(group, []).append(place)
        found: dict[Place, int] = {}
        for group, places in by_group.items():
            positions = self._cluster.committed_positions(group, places)
            for place in places:
                # Only what all of its readers have read past must have led to all of their entries.
                name, offset = (self._name(place[0]), place[1]), positions.get(place, 0)
                found[name] = min(offset, found.get(name, offset))
        return found

    def _kept_since(self, starts: Mapping[Place, int]) -> dict[str, int]:
        """Topic → the time before which retention may have deleted records; only where it has deleted any."""
        now_ms = int(time.time() * 1000)
        kept: dict[str, int] = {}
        for topic, settings in self._cluster.settings(
            {place[0] for place, start in starts.items() if start > 0}
        ).items():
            retention = int(settings.get("retention.ms", -1))
            if "delete" not in settings.get("cleanup.policy", "delete"):
                continue
            if int(settings.get("retention.bytes", -1)) >= 0:
                # Limited by size, its age says nothing: whatever is missing may have been deleted in order.
                kept[self._name(topic)] = now_ms
            elif retention >= 0:
                kept[self._name(topic)] = now_ms - retention + WAITED_MS
        return kept

    def _records(self, where: Mapping[Place, Span], wanted: _Wanted, progress: Progress) -> Iterator[RecordFact]:
        facts = self._facts
        for chunk in self._cluster.read(where, progress):
            for message in chunk:
                topic, key, value = self._name(message.topic()), message.key(), message.value()
                at = (message.partition(), message.offset(), message.timestamp()[1])
                if topic == topics.DEAD_LETTERS:
                    raw = origin_of(key, value, dict(headers_of(message)), at[2])
                    fact = facts.dead_letter(*at, raw, value)
                elif topic in REMARKED_ONLY:
                    yield facts.record(topic, *at, key, value)
                    continue
                elif wanted.may_hold(key):
                    fact = facts.record(topic, *at, key, value)
                else:
                    continue
                if wanted.holds(fact.case_id):
                    yield fact

    def _entries(
        self, where: Mapping[Place, Span], wanted: _Wanted, verifier: ChainVerifier | Parts, progress: Progress
    ) -> None:
        for chunk in self._cluster.read(where, progress):
            for message in chunk:
                key, value = message.key(), message.value()
                case_id = case_in_key(key)
                if not wanted.holds(case_id):
                    continue
                at = (message.partition(), message.offset(), message.timestamp()[1])
                if value is None:
                    verifier.tombstone(Unreadable(*at, case_id))
                    continue
                fact = self._facts.entry(*at, key, value)
                if isinstance(fact, EntryFact):
                    verifier.entry(fact)
                else:
                    verifier.unreadable(fact)


class _Wanted:
    """Which cases to look at: one, or all."""

    def __init__(self, case_id: UUID | None) -> None:
        self._case = None if case_id is None else case_id.bytes
        self._key = None if case_id is None else str(case_id).encode()

    def may_hold(self, key: bytes | None) -> bool:
        """False where the key alone tells that a record is not wanted: most need no closer look."""
        return self._key is None or key == self._key or key is None or len(key) != len(self._key)

    def holds(self, case_id: bytes | None) -> bool:
        """Whether this case is wanted."""
        return self._case is None or case_id == self._case


def _length(where: Mapping[Place, Span]) -> int:
    return sum(span.end - span.start for span in where.values())
