"""The verifier: inputs and committed records in, everything that is wrong out. Pure: no broker, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from ops.chaos import audit_links
from ops.chaos.escalation_replay import CaseReplay
from ops.chaos.letters import UNDECODED, Place, holds, origin
from ops.chaos.reference import Reference
from ops.chaos.values import Excuse, SeenRecord, Sent, Verdict, Violation, where
from schemas.envelope.dead_letter import PREFIX
from schemas.envelope.raw import RawRecord
from schemas.events import AcknowledgementEvent, AuditEntry, Lane
from streams import topics
from streams.pipeline import DECISIONS, INPUTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """`until`: when the campaign's records were read; `late_after`: the longest an escalation may take."""

    until: datetime
    late_after: timedelta
    excuses: tuple[Excuse, ...] = ()


def verify(sent: Sequence[Sent], seen: Sequence[SeenRecord], reference: Reference, limits: Tolerance) -> Verdict:
    """The verdict on a campaign. `seen` holds every committed record of every topic, in any order."""
    return _Verification(sent, seen, reference, limits).verdict


class _Verification:
    def __init__(
        self, sent: Sequence[Sent], seen: Sequence[SeenRecord], reference: Reference, limits: Tolerance
    ) -> None:
        self.verdict = Verdict()
        self._reference, self._limits = reference, limits
        self._by_topic: dict[str, list[SeenRecord]] = defaultdict(list)
        for record in sorted(seen, key=lambda record: record.place):
            self._by_topic[record.topic].append(record)
        self._sent = self._match(sent)
        self._letters = self._read_letters()
        self._inferences = _by_id(self._by_topic[topics.INFERENCES])
        self._gradings = _by_id(self._by_topic[topics.GRADINGS])
        self._expected: set[UUID] = set()
        self._judge()
        self._refused_answers()
        self._grade()
        self._report_invented()
        self._escalate()
        self._check_lateness()
        audit_links.check(self._by_topic, self.verdict)

    def _match(self, sent: Sequence[Sent]) -> dict[tuple[str, bytes | None, bytes | None], Sent]:
        """Holds the input topics against what was sent; what is on them beyond that nobody sent."""
        wanted: dict[Any, list[Sent]] = defaultdict(list)
        for one in sent:
            wanted[one.topic, one.key, one.value].append(one)
        found: dict[Any, list[SeenRecord]] = defaultdict(list)
        for topic in INPUTS:
            for record in self._by_topic[topic]:
                found[topic, record.key, record.value].append(record)
        for what, copies in wanted.items():
            confirmed, there = sum(copy.acked for copy in copies), found.get(what, [])
            for _ in range(confirmed - len(there)):
                self.verdict.add(Violation.LOST, f"an input that {what[0]} confirmed")
            for record in there[len(copies) :]:
                self.verdict.add(Violation.DUPLICATED, f"{where(record)} was sent {len(copies)} times only")
        for what, records in found.items():
            if what not in wanted:
                self.verdict.add(Violation.INVENTED, f"{where(records[0])} was never sent")
        self.verdict.counted["inputs"] = sum(map(len, found.values()))
        return {what: copies[0] for what, copies in wanted.items()}

    def _read_letters(self) -> dict[Place, SeenRecord]:
        letters: dict[Place, SeenRecord] = {}
        inputs = {record.place: record for topic in INPUTS for record in self._by_topic[topic]}
        for letter in self._by_topic[topics.DEAD_LETTERS]:
            place = origin(letter)
            if place not in inputs:
                self.verdict.add(Violation.INVENTED, f"dead letter {where(letter)} of no input")
                continue
            if place in letters:
                self.verdict.add(Violation.DUPLICATED, f"dead letter {where(letter)}")
                continue
            if not holds(letter, inputs[place]):
                self.verdict.add(Violation.WRONG, f"dead letter {where(letter)} has other bytes than its input")
            letters[place] = letter
        self.verdict.counted["dead letters"] = len(letters)
        return letters

    def _judge(self) -> None:
        """Each case record: judged once, a repetition, or answered by people."""
        for topic in topics.CASES.values():
            processed: set[UUID] = set()
            reached: dict[UUID, int] = {}
            foreign: tuple[str, int, int] | None = None
            for record in self._by_topic[topic]:
                sent = self._sent.get((topic, record.key, record.value))
                behind, foreign = foreign, record.place if sent is not None and sent.hostile else None
                if sent is None:
                    continue
                letter = self._letters.get(record.place)
                if letter is not None:
                    self._refused(record, sent, letter)
                elif sent.refused:
                    self.verdict.add(Violation.LOST, f"{where(record)} must be a dead letter")
                elif sent.event.event_id in processed:
                    self.verdict.counted["repeated inputs"] += 1
                else:
                    processed.add(sent.event.event_id)
                    decided_ms = self._judged(record, sent.event, reached)
                    if decided_ms and behind is not None and behind[:2] == record.place[:2]:
                        self.verdict.stuck_s.append(max(0, decided_ms - record.timestamp_ms) / 1000)

    def _judged(self, record: SeenRecord, case: Any, reached: dict[UUID, int]) -> int | None:
        """Holds what was made of a case against what must be; returns when it was decided (ms since the epoch)."""
        event_id = self._reference.inference_id(case)
        got = self._one(self._inferences, event_id, f"the inference on {where(record)}", record)
        if got is not None:
            if got.event != self._reference.inference(case, got.event):
                self.verdict.add(Violation.WRONG, f"{where(got)} is not what the model says of {where(record)}")
            self._order(reached, case.case_id, got)
        grading = self._one(
            self._gradings, self._reference.grading_id(event_id), f"the decision on {where(record)}", record
        )
        if (
            got is not None
            and grading is not None
            and grading.event != self._reference.grading(got.event, grading.event)
        ):
            self.verdict.add(Violation.WRONG, f"{where(grading)} is not what the rules say of {where(got)}")
        self.verdict.counted["cases judged"] += 1
        return None if grading is None else grading.timestamp_ms

    def _refused(self, record: SeenRecord, sent: Sent, letter: SeenRecord) -> None:
        reason = letter.headers.get(PREFIX + "reason", b"").decode()
        if reason not in sent.refused | sent.may_refuse and not self._excused(reason, letter.timestamp_ms / 1000):
            self.verdict.add(Violation.WRONG, f"{where(record)} went to the dead letters for {reason}")
        raw = RawRecord(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp_ms,
            key=record.key,
            value=record.value,
        )
        # What could not be decoded tells nothing of its case.
        event = None if reason in UNDECODED else sent.event
        event_id = self._reference.quarantine(raw, event, reason, None).event_id
        got = self._one(
            self._gradings, event_id, f"the request to people for {where(record)}", record, missing=Violation.SILENCED
        )
        if got is not None and got.event != self._reference.quarantine(raw, event, reason, got.event):
            self.verdict.add(Violation.WRONG, f"{where(got)} is not what people must be asked for {where(record)}")
        self.verdict.counted["cases given to people" if not sent.refused else "poison answered"] += 1

    def _refused_answers(self) -> None:
        """Answers on the dead letters: right only while something was away; people are asked about them too."""
        for place, letter in self._letters.items():
            if place[0] != topics.ACKNOWLEDGEMENTS:
                continue
            reason = letter.headers.get(PREFIX + "reason", b"").decode()
            if not self._excused(reason, letter.timestamp_ms / 1000):
                self.verdict.add(Violation.WRONG, f"an answer went to the dead letters for {reason}")
            asked = self._reference.quarantine_id(*place)
            self._expected.add(asked)
            if asked not in self._gradings:
                self.verdict.add(
                    Violation.SILENCED, f"nobody was asked about the answer of dead letter {where(letter)}"
                )

    def _excused(self, reason: str, at: float) -> bool:
        return any(each.reason == reason and each.start <= at <= each.end for each in self._limits.excuses)

    def _one(
        self,
        records: dict[UUID, list[SeenRecord]],
        event_id: UUID,
        what: str,
        cause: SeenRecord,
        missing: Violation = Violation.LOST,
    ) -> SeenRecord | None:
        self._expected.add(event_id)
        found = records.get(event_id, [])
        if not found:
            self.verdict.add(missing, what)
            return None
        for copy in found[1:]:
            self.verdict.add(Violation.DUPLICATED, f"{where(copy)} repeats {where(found[0])}")
        if cause.key is not None and (found[0].key, found[0].partition) != (cause.key, cause.partition):
            self.verdict.add(Violation.WRONG, f"{where(found[0])} lies under another key or number than {where(cause)}")
        return found[0]

    def _order(self, reached: dict[UUID, int], case_id: UUID, got: SeenRecord) -> None:
        if got.offset < reached.get(case_id, -1):
            self.verdict.add(Violation.DISORDERED, f"{where(got)} lies before the result of an earlier input")
        reached[case_id] = max(got.offset, reached.get(case_id, -1))

    def _grade(self) -> None:
        """Decisions of a case are in the order of its inferences."""
        reached: dict[UUID, int] = {}
        for record in self._by_topic[topics.INFERENCES]:
            if record.event is not None:
                for got in self._gradings.get(self._reference.grading_id(record.event.event_id), [])[:1]:
                    self._order(reached, record.event.case_id, got)

    def _report_invented(self) -> None:
        for records in (self._inferences, self._gradings):
            for event_id, copies in records.items():
                if event_id not in self._expected:
                    self.verdict.add(Violation.INVENTED, f"{where(copies[0])} follows from no input")
        for topic in DECISIONS:
            for record in self._by_topic[topic]:
                if record.event is None:
                    self.verdict.add(Violation.WRONG, f"{where(record)} cannot be read")

    def _escalate(self) -> None:
        parts: dict[UUID, tuple[list[Any], ...]] = defaultdict(lambda: ([], [], [], []))
        escalations = [record for topic in topics.ESCALATIONS.values() for record in self._by_topic[topic]]
        refused = self._letters
        acks = [record for record in self._by_topic[topics.ACKNOWLEDGEMENTS] if record.place not in refused]
        for at, records in enumerate((self._by_topic[topics.GRADINGS], acks, escalations)):
            for record in records:
                if record.event is not None:
                    parts[record.event.case_id][at].append(record)
        for record in self._by_topic[topics.AUDIT]:
            if isinstance(record.event, AuditEntry):
                parts[record.event.case_id][3].append(record.event)
        for gradings, answers, raised, entries in parts.values():
            firsts = {event_id: copies[0] for event_id, copies in _by_id(gradings).items()}
            replay = CaseReplay(self._reference.policy, firsts, _by_id(answers), _by_id(raised), self.verdict)
            replay.run(entries)
            replay.finish(self._limits.until, self._limits.late_after)
        self.verdict.counted["escalations"] = len(escalations)
        self.verdict.counted["answers"] = sum(isinstance(ack.event, AcknowledgementEvent) for ack in acks)

    def _check_lateness(self) -> None:
        limit_ms = self._limits.late_after.total_seconds() * 1000
        for topic in topics.ESCALATIONS.values():
            for record in self._by_topic[topic]:
                if record.event is None or record.event.lane is not Lane.EMERGENCY or record.event.level:
                    continue
                if record.timestamp_ms - record.event.published_at.timestamp() * 1000 > limit_ms:
                    self.verdict.add(Violation.LATE, f"{where(record)} came later than {limit_ms / 1000:.0f} s")


def _by_id(records: Iterable[SeenRecord]) -> dict[UUID, list[SeenRecord]]:
    found: dict[UUID, list[SeenRecord]] = defaultdict(list)
    for record in records:
        if record.event is not None:
            found[record.event.event_id].append(record)
    return dict(found)
