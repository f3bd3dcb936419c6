"""Does the audit chain hold? A function of values: the facts of all records, then those of all audit entries.

Every record that a stage produces has an audit entry, written in the same transaction, with the SHA-256 of the record
(output) and of the one it was derived from (input). Here the two are held against each other, and the hashes are walked
from what was ingested to what was answered. Nothing is read and no clock is asked
(streams/audit/auditor.py does both).

Memory: about 240 bytes per record and 400 per entry; whole records are never kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from schemas.envelope.partitioner import partition_of_case
from schemas.events import PipelineStage
from streams import topics
from streams.audit.chain import Links
from streams.audit.facts import INTERNAL, INTO, EntryFact, RecordFact, Unreadable
from streams.audit.limits import ERASED, REDRIVEN, Limits
from streams.audit.report import Kind, Report
from streams.audit.store import Place, Records, Suspects
from streams.pipeline import ANSWERED_BY, REMARKED_ONLY, REMARKS, SETTLED, WRITERS

_STAGES: Mapping[str, bytes] = {stage.value: bytes([at]) for at, stage in enumerate(PipelineStage)}


class ChainVerifier:
    """Give it every record, then every audit entry in the order of its partition, then ask for the report."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._report = Report()
        self._suspects = Suspects(self._report)
        self._records = Records()
        self._links = Links()
        #: Key of an entry → digest of its content.
        self._seen: dict[bytes, bytes] = {}
        self._deleted: list[Unreadable] = []
        #: (topic, hash) of what went to the dead letters → the entries that say so.
        self._quarantined: dict[tuple[str, bytes], list[EntryFact]] = {}
        self._redriven: Counter[tuple[str, bytes]] = Counter()
        #: What the next stage has read past, until all that must follow from it is met: digest → how many are left.
        self._awaited: dict[bytes, tuple[int, str, bytes, Place]] = {}

    def record(self, fact: RecordFact) -> None:
        """Take in a record."""
        place = self._records.add(fact)
        if fact.topic in REMARKED_ONLY:
            return
        self._report.records[fact.topic] += 1
        # How many entries follow from a grading is told by the entry on it.
        if fact.topic in INTERNAL and fact.topic != topics.GRADINGS and fact.event_id is not None:
            self._await(len(ANSWERED_BY.get(fact.topic, ())), fact.topic, fact.event_id, place)

    def tombstone(self, fact: Unreadable) -> None:
        """Take in the deletion of an audit entry."""
        if fact.offset < self._settled(fact.partition):
            self._deleted.append(fact)

    def unreadable(self, fact: Unreadable) -> None:
        """Take in a record of the audit topic that is no entry."""
        self._suspects.entry(Kind.ENTRY_FOREIGN, fact, "no audit entry")

    def entry(self, fact: EntryFact) -> None:
        """Take in an audit entry."""
        self._report.entries += 1
        stage = _STAGES.get(fact.stage)
        if not fact.sound or stage is None:
            self._suspects.entry(Kind.ENTRY_CHANGED, fact, "its key is not that of its content")
            return
        if self._limits.partitions and fact.partition != partition_of_case(fact.case_id, self._limits.partitions):
            self._suspects.entry(Kind.ENTRY_FOREIGN, fact, "it lies on a partition that is not its case's")
            return
        key = fact.case_id + stage + fact.event_id
        if (before := self._seen.get(key)) is not None:
            kind = Kind.DOUBLED if before == fact.content else Kind.ENTRY_CHANGED
            self._suspects.entry(kind, fact, "the entry was written before")
            return
        self._seen[key] = fact.content
        if fact.stage == PipelineStage.CONTROL and fact.outcome == ERASED and fact.topic == topics.AUDIT:
            self._suspects.erased(fact.case_id, fact.timestamp_ms)
            return
        self._follows(fact)
        if self._matches_a_record(fact):
            self._link(fact)

    def _await(self, count: int, topic: str, event_id: bytes, place: Place) -> None:
        if count and self._taken_up(topic, place):
            self._awaited[place.digest] = (count, topic, event_id, place)

    def _follows(self, fact: EntryFact) -> None:
        awaited = None if fact.input is None else self._awaited.pop(fact.input, None)
        if awaited is not None and awaited[0] > 1 and fact.stage != PipelineStage.QUARANTINE:
            self._awaited[awaited[3].digest] = (awaited[0] - 1, *awaited[1:])

    def _matches_a_record(self, fact: EntryFact) -> bool:
        """Hold the entry against its record. False where it is an entry that no stage writes."""
        writer = WRITERS.get(fact.topic)
        if writer is not None and fact.stage == writer:
            if fact.topic == topics.DEAD_LETTERS:
                self._quarantined.setdefault(_of_origin(fact), []).append(fact)
            self._claim(fact)
        elif fact.stage == PipelineStage.QUARANTINE and fact.outcome == REDRIVEN:
            if fact.input != fact.output:
                self._suspects.entry(
                    Kind.ENTRY_CHANGED, fact, "what was sent again is not what was in the dead letters"
                )
                return False
            self._report.redriven += 1
            self._redriven[fact.topic, fact.output] += 1
        elif fact.stage in SETTLED.get(fact.topic, ()) and fact.input == fact.output:
            # It leads to the record that it answers, and has none of its own.
            pass
        elif fact.stage not in REMARKS.get(fact.topic, ()):
            self._suspects.entry(Kind.ENTRY_FOREIGN, fact, f"the {fact.stage} stage writes no entry on {fact.topic}")
            return False
        else:
            self._remark(fact)
        return True

    def _claim(self, fact: EntryFact) -> None:
        self._records.claim(fact.topic, fact.subject)
        first = self._records.first(fact.topic, fact.subject)
        match = self._records.find(fact.topic, fact.subject, fact.output)
        if first is None:
            self._missing(fact, fact.topic)
        elif match is None:
            self._suspects.record(Kind.CHANGED, fact.topic, fact.subject, first, "its hash is not the audited one")
        elif not match.sound or match.case_id != fact.case_id:
            self._suspects.record(Kind.CHANGED, fact.topic, fact.subject, match, "its key names another case")
        elif fact.topic in INTERNAL and match.basis != fact.basis:
            self._suspects.entry(
                Kind.ENTRY_CHANGED, fact, "it names another source, model, policy or severity than its record"
            )
        else:
            self._records.matched(fact.topic, fact.subject, match)
            self._await(fact.follow, fact.topic, fact.subject, match)

    def _remark(self, fact: EntryFact) -> None:
        known = self._records.first(fact.topic, fact.subject) is not None
        if not known and fact.topic in REMARKED_ONLY:
            # Compaction keeps the newest order only.
            self._report.expired += 1
        elif not known:
            self._missing(fact, fact.topic)
        elif self._records.find(fact.topic, fact.subject, fact.output) is None:
            self._suspects.entry(Kind.ENTRY_CHANGED, fact, "its hash is not that of the record it remarks on")

    def _missing(self, fact: EntryFact, topic: str) -> None:
        if fact.offset >= self._settled(fact.partition):
            self._report.recent += 1
        elif fact.decided_ms < self._limits.kept_since.get(topic, 0):
            self._report.expired += 1
        else:
            self._suspects.entry(Kind.REMOVED, fact, f"its record is not in {topic}")

    def _link(self, fact: EntryFact) -> None:
        if fact.input is None:
            # Of a record that nobody could read, the entry knows no hash.
            root = fact.topic in INTO or fact.topic in REMARKED_ONLY or fact.unread is not None
        else:
            # What was quarantined as it came is a beginning; what the pipeline itself wrote must have one before it.
            root = fact.stage == PipelineStage.QUARANTINE and fact.origin not in INTERNAL
            root = root and fact.topic == topics.DEAD_LETTERS
        judged = fact.offset < self._settled(fact.partition)
        self._links.add(fact, root=root, judged=judged)

    def report(self) -> Report:
        """What was found. Call it once, after the last entry."""
        for fact in self._deleted:
            self._suspects.entry(Kind.ENTRY_REMOVED, fact, "deleted, and not by an erasure")
        for entry in self._links.broken():
            self._suspects.entry(Kind.BROKEN_LINK, entry, "what it was derived from leads to nothing ingested")
        for topic, event_id, versions in self._records.unclaimed():
            self._unclaimed(topic, event_id, versions)
        for topic, event_id, versions in self._records.copies():
            self._copies(topic, event_id, versions)
        for (topic, _), entries in self._quarantined.items():
            for entry in entries if topic in INTO else ():
                # What no stage could read, this reader may have gone past as well.
                if entry.unread is None:
                    self._missing(entry, topic)
        for _, topic, event_id, place in self._awaited.values():
            if self._records.is_claimed(topic, event_id) and not self._quarantined.get(_unread(topic, place)):
                self._suspects.record(Kind.LOST, topic, event_id, place, "read, and not all that must follow is there")
        self._suspects.settle()
        return self._report

    def _unclaimed(self, topic: str, event_id: bytes | None, versions: Sequence[Place]) -> None:
        """Records that no entry speaks of: in quarantine, waiting, or foreign."""
        left = [place for place in versions if not self._explained_by_quarantine(topic, place)]
        for place in left:
            if len(left) < len(versions):
                # A stage leaves out the second copy of an event that it has just met, whatever came of the first.
                self._report.repeated += 1
            elif topic in INTO and not self._taken_up(topic, place):
                self._report.pending += 1
            else:
                self._suspects.record(Kind.FOREIGN, topic, event_id, place, "no audit entry speaks of it")

    def _copies(self, topic: str, event_id: bytes, versions: Sequence[Place]) -> None:
        """Records that share the event id of the one that an entry speaks of."""
        first = self._records.first(topic, event_id)
        content = None if first is None else first.basis
        for place in versions:
            if topic in INTO:
                if self._explained_by_quarantine(topic, place):
                    continue
                if place.basis != content:
                    self._suspects.record(Kind.REUSED, topic, event_id, place, "nobody was asked about it")
                else:
                    self._report.repeated += 1
            elif self._redriven[topic, place.digest] > 0:
                self._redriven[topic, place.digest] -= 1
            else:
                self._suspects.record(Kind.DOUBLED, topic, event_id, place, "another record has its event id")

    def _explained_by_quarantine(self, topic: str, place: Place) -> bool:
        """Whether an entry says that this record went to the dead letters; each entry says so of one record."""
        entries = self._quarantined.get((topic, place.digest)) or self._quarantined.get(_unread(topic, place))
        if topic not in INTO or not entries:
            return False
        entries.pop()
        self._report.quarantined += 1
        return True

    def _taken_up(self, topic: str, place: Place) -> bool:
        return place.offset < self._limits.taken_up.get((topic, place.partition), 0)

    def _settled(self, partition: int) -> int:
        return self._limits.settled.get(partition, 0)


def _of_origin(fact: EntryFact) -> tuple[str, bytes]:
    """Topic and hash of the record that went to the dead letters; its position where nobody has read it."""
    if fact.unread is not None:
        return fact.origin, b"%d/%d" % fact.unread
    return fact.origin, fact.input or fact.output


def _unread(topic: str, place: Place) -> tuple[str, bytes]:
    return topic, b"%d/%d" % (place.partition, place.offset)


def verify(records: Iterable[RecordFact], entries: Iterable[EntryFact], limits: Limits) -> Report:
    """The report on these records and entries, all at once."""
    verifier = ChainVerifier(limits)
    for record in records:
        verifier.record(record)
    for entry in entries:
        verifier.entry(entry)
    return verifier.report()
