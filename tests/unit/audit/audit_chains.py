"""Valid audit chains as values, for tests that tamper with them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from schemas.envelope.partitioner import partition_of_case
from schemas.ids import NAMESPACE
from streams import topics
from streams.audit.facts import EntryFact, RecordFact
from streams.audit.limits import Limits
from streams.pipeline import STAGES

PARTITIONS = 4
HUMAN = topics.ESCALATIONS_HUMAN_REVIEW
START_MS = 1_700_000_000_000


def digest(*parts: object) -> bytes:
    return hashlib.sha256("/".join(map(str, parts)).encode()).digest()


@dataclass(slots=True)
class Chain:
    """Records and entries of some cases, as they would lie in their topics."""

    records: list[RecordFact] = field(default_factory=list)
    entries: list[EntryFact] = field(default_factory=list)
    clock: int = START_MS
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    #: Topic, partition and offset of records that nobody could read.
    unread: set[tuple[str, int, int]] = field(default_factory=set)

    def limits(self) -> Limits:
        """Everything was read by its stage, and nothing may be missing."""
        return Limits(
            taken_up={place: offset for place, offset in self.offsets.items() if place[0] != topics.AUDIT},
            settled={number: self.offsets.get((topics.AUDIT, number), 0) for number in range(PARTITIONS)},
            partitions=PARTITIONS,
        )

    def record(self, topic: str, case: UUID, event: UUID, **changes: object) -> RecordFact:
        number = partition_of_case(case.bytes, PARTITIONS)
        basis = (
            b"basis123" if topic not in (*topics.CASES.values(), topics.ACKNOWLEDGEMENTS, topics.DEAD_LETTERS) else b""
        )
        fact = RecordFact(
            topic,
            number,
            self._offset(topic, number),
            self._tick(),
            case.bytes,
            event.bytes,
            digest(topic, event),
            basis,
        )._replace(**changes)
        self.records.append(fact)
        return fact

    def entry(
        self, stage: str, record: RecordFact, parent: bytes | None, outcome: str = "done", **changes: object
    ) -> EntryFact:
        number = partition_of_case(record.case_id, PARTITIONS)
        assert record.event_id is not None
        event = UUID(bytes=record.event_id)
        fact = EntryFact(
            number,
            self._offset(topics.AUDIT, number),
            self._tick(),
            record.case_id,
            event.bytes,
            event.bytes,
            stage,
            record.topic,
            outcome,
            self.clock,
            parent,
            record.digest,
            record.basis,
            digest("entry", stage, event)[:8],
        )._replace(**changes)
        self.entries.append(fact)
        return fact

    def judged(self, seed: int, escalations: int = 1, levels: int = 1, *, answered: bool = False) -> UUID:
        """A case from its ingest to (perhaps) an answer."""
        case = uuid5(NAMESPACE, f"case {seed}")

        def event(name: str) -> UUID:
            return uuid5(case, name)

        taken = self.record(topics.CASES_ROUTINE, case, event("case"))
        self.entry("ingest", taken, None)
        inferred = self.record(topics.INFERENCES, case, event("inference"))
        self.entry("inference", inferred, taken.digest)
        self.others(case, inferred)
        graded = self.record(topics.GRADINGS, case, event("grading"))
        self.entry("grading", graded, inferred.digest, follow=escalations)
        for number, topic in enumerate(list(topics.ESCALATIONS.values())[:escalations]):
            parent = graded.digest
            for level in range(levels):
                raised = self.record(topic, case, event(f"escalation {number} {level}"))
                self.entry("escalation", raised, parent)
                parent = raised.digest
            if answered:
                answer = self.record(topics.ACKNOWLEDGEMENTS, case, event(f"answer {number}"))
                self.entry("acknowledgement", answer, parent)
        return case

    def others(self, case: UUID, inferred: RecordFact) -> None:
        """What the stages beside grading make of an inference, where the pipeline has any."""
        for stage in STAGES:
            if topics.INFERENCES in stage.passes and stage.name != "grading":
                for topic, entry in stage.writes.items():
                    self.entry(entry.value, self.record(topic, case, uuid5(case, stage.name)), inferred.digest)

    def quarantined(self, seed: int, *, redriven: bool = False, readable: bool = True) -> UUID:
        """A case that no stage could process; perhaps sent again, and judged."""
        case = uuid5(NAMESPACE, f"quarantined {seed}")

        def event(name: str) -> UUID:
            return uuid5(case, name)

        taken = self.record(topics.CASES_ROUTINE, case, event("case"))
        if not readable:
            taken = taken._replace(event_id=None)
            self.records[-1] = taken
        letter = self.record(topics.DEAD_LETTERS, case, event("letter"), digest=taken.digest)
        self.entry("quarantine", letter, taken.digest, "dead_letter:x", origin=topics.CASES_ROUTINE)
        asked = self.record(topics.GRADINGS, case, event("asked"))
        self.entry("grading", asked, taken.digest, "quarantined:x", follow=1)
        raised = self.record(HUMAN, case, event("raised"))
        self.entry("escalation", raised, asked.digest)
        if redriven and readable:
            again = self.record(topics.CASES_ROUTINE, case, event("case"))
            self.entry("quarantine", again._replace(event_id=event("redrive").bytes), taken.digest, "redriven")
            self.entry("ingest", again, None)
            inferred = self.record(topics.INFERENCES, case, event("inference"))
            self.entry("inference", inferred, again.digest)
            self.others(case, inferred)
            graded = self.record(topics.GRADINGS, case, event("grading"))
            self.entry("grading", graded, inferred.digest, follow=1)
            self.entry(
                "escalation", graded._replace(event_id=event("merged").bytes), graded.digest, "merged:human_review"
            )
        return case

    def pointed(self, seed: int, *, unread: bool = False) -> UUID:
        """A case whose record was too large for a dead letter, or that nobody could read: a pointer stands for it."""
        case = uuid5(NAMESPACE, f"pointed {seed}")
        taken = self.record(topics.CASES_ROUTINE, case, uuid5(case, "case"))._replace(event_id=None)
        self.records[-1] = taken
        letter = self.record(topics.DEAD_LETTERS, case, uuid5(case, "letter"))
        cause = None if unread else taken.digest
        lies = (taken.partition, taken.offset) if unread else None
        if unread:
            self.unread.add((taken.topic, taken.partition, taken.offset))
        self.entry("quarantine", letter, cause, "dead_letter:large", origin=topics.CASES_ROUTINE, unread=lies)
        asked = self.record(topics.GRADINGS, case, uuid5(case, "asked"))
        self.entry("grading", asked, letter.digest if unread else taken.digest, "quarantined:large", follow=1)
        self.entry("escalation", self.record(HUMAN, case, uuid5(case, "raised")), asked.digest)
        return case

    def _offset(self, topic: str, number: int) -> int:
        offset = self.offsets.get((topic, number), 0)
        self.offsets[topic, number] = offset + 1
        return offset

    def _tick(self) -> int:
        self.clock += 1
        return self.clock
