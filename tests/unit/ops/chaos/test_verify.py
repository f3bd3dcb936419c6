"""The verifier finds what is damaged by hand, whatever record it is, and says nothing of a world that is in order."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.chaos.values import Excuse, SeenRecord, Sent, Verdict, Violation
from ops.chaos.verify import Tolerance, verify
from schemas.envelope.audit import sha256_hex
from schemas.envelope.dead_letter import POINTER
from schemas.envelope.pointer import Pointer
from schemas.events import Lane, PipelineStage, Severity
from streams import topics
from tests.unit.ops.chaos.worlds import REFERENCE, START, World, encoded

OUTPUTS = (topics.INFERENCES, topics.GRADINGS, *topics.ESCALATIONS.values())


def world() -> World:
    """Cases of both lanes, one that comes twice, a repetition, an answer, a missed deadline, poison."""
    made = World()
    first = made.case(lane=Lane.EMERGENCY)
    second = made.case()
    made.case(second.case_id)
    made.answer(second)
    made.repeat()
    made.poison()
    made.miss(first)
    return made


SOUND = world()
PRODUCED = [at for at, record in enumerate(SOUND.seen) if record.topic in OUTPUTS]
AUDITED = [at for at, record in enumerate(SOUND.seen) if record.topic == topics.AUDIT]


def judged(sent: list[Sent], seen: list[SeenRecord], late_s: float = 60.0, *excuses: Excuse) -> Verdict:
    limits = Tolerance(until=START + timedelta(seconds=100), late_after=timedelta(seconds=late_s), excuses=excuses)
    return verify(sent, seen, REFERENCE, limits)


def test_a_world_in_order_is_clean_and_counted() -> None:
    verdict = judged(SOUND.sent, SOUND.seen)
    assert verdict.clean, verdict.findings
    assert verdict.counted["cases judged"] == 3
    assert verdict.counted["repeated inputs"] == 1
    assert verdict.counted["poison answered"] == 1


@given(st.randoms())
@settings(max_examples=20, deadline=None)
def test_the_order_in_which_records_were_read_does_not_matter(random: object) -> None:
    shuffled = list(SOUND.seen)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert judged(SOUND.sent, shuffled).clean


@pytest.mark.parametrize("at", PRODUCED)
def test_any_output_that_is_dropped_is_lost(at: int) -> None:
    verdict = judged(SOUND.sent, SOUND.seen[:at] + SOUND.seen[at + 1 :])
    assert verdict.counts[Violation.LOST] or verdict.counts[Violation.SILENCED]
    assert verdict.counts[Violation.BROKEN_LINK], "its audit entry speaks of nothing"


@pytest.mark.parametrize("at", PRODUCED + AUDITED)
def test_any_record_that_is_doubled_is_found(at: int) -> None:
    record = SOUND.seen[at]
    assert judged(SOUND.sent, [*SOUND.seen, replace(record, offset=10_000)]).counts[Violation.DUPLICATED]


@pytest.mark.parametrize("at", AUDITED)
def test_any_audit_entry_that_is_dropped_is_found(at: int) -> None:
    assert not judged(SOUND.sent, SOUND.seen[:at] + SOUND.seen[at + 1 :]).clean


@pytest.mark.parametrize("at", PRODUCED)
def test_any_output_that_is_altered_is_wrong_and_its_audit_does_not_match(at: int) -> None:
    record = SOUND.seen[at]
    event = record.event
    altered = (
        replace(event, patient_token="vpt1-00000000-" + "d" * 64)
        if record.topic == topics.INFERENCES
        else replace(event, severity=Severity.ATTENTION, follow_up_s=77)
    )
    seen = list(SOUND.seen)
    seen[at] = replace(record, event=altered, value=encoded(altered))
    verdict = judged(SOUND.sent, seen)
    assert verdict.counts[Violation.WRONG]
    assert verdict.counts[Violation.BROKEN_LINK]


@pytest.mark.parametrize("topic", [topics.INFERENCES, topics.GRADINGS])
def test_results_of_a_case_that_swap_places_are_out_of_order(topic: str) -> None:
    case_id = UUID(int=2)
    a, b = [at for at, seen in enumerate(SOUND.seen) if seen.topic == topic and seen.event.case_id == case_id][:2]
    seen = list(SOUND.seen)
    seen[a], seen[b] = replace(seen[a], offset=seen[b].offset), replace(seen[b], offset=seen[a].offset)
    assert judged(SOUND.sent, seen).counts[Violation.DISORDERED]


@pytest.mark.parametrize("at", PRODUCED)
def test_an_output_of_no_input_is_invented(at: int) -> None:
    event = replace(SOUND.seen[at].event, event_id=UUID(int=555), source_event_id=UUID(int=556))
    made_up = replace(SOUND.seen[at], offset=10_000, event=event, value=encoded(event))
    verdict = judged(SOUND.sent, [*SOUND.seen, made_up])
    assert verdict.counts[Violation.INVENTED]
    assert verdict.counts[Violation.UNAUDITED]


def test_an_input_that_nobody_sent_is_invented_and_one_that_the_broker_lost_is_lost() -> None:
    assert judged(SOUND.sent[1:-1], SOUND.seen).counts[Violation.INVENTED]
    unread = World()
    extra = unread.new_case()
    sent = Sent(topic=topics.CASES_ROUTINE, key=str(extra.case_id).encode(), value=b"x", event=extra)
    assert judged([*SOUND.sent, sent], SOUND.seen).counts[Violation.LOST] == 1
    assert judged([*SOUND.sent, replace(sent, acked=False)], SOUND.seen).clean


def test_a_dead_letter_is_right_for_poison_and_for_a_store_that_was_away_and_wrong_else() -> None:
    made = World()
    made.poison("store_unavailable")
    blameless = [replace(one, refused=frozenset()) for one in made.sent]
    assert judged(blameless, made.seen).counts[Violation.WRONG] == 1
    at = START.timestamp()
    away = Excuse(reason="store_unavailable", start=at - 1, end=at + 10)
    assert judged(blameless, made.seen, 60.0, away).clean
    assert judged(blameless, made.seen, 60.0, replace(away, end=at)).counts[Violation.WRONG] == 1


def test_a_picture_that_may_be_too_dear_may_be_judged_or_refused_for_that_and_for_nothing_else() -> None:
    made = World()
    made.poison("decoder_timeout")
    made.case()
    dear = [replace(one, refused=frozenset(), may_refuse=frozenset({"decoder_timeout"})) for one in made.sent]
    verdict = judged(dear, made.seen)
    assert verdict.clean
    assert len(verdict.stuck_s) == 1, "what lies behind it is measured as well"
    assert judged([replace(one, may_refuse=frozenset({"other"})) for one in dear], made.seen).counts[Violation.WRONG]


def test_a_broken_record_about_which_nobody_is_asked_is_silenced() -> None:
    made = World()
    made.poison()
    asked = [record for record in made.seen if record.topic == topics.GRADINGS]
    unasked = [record for record in made.seen if record not in asked]
    assert judged(made.sent, unasked).counts[Violation.SILENCED] == 1
    # So is a case whose decision asks for people, where no escalation and no entry says that they were asked.
    made = World()
    made.case(lane=Lane.EMERGENCY)
    of_stage = {PipelineStage.ESCALATION}
    silent = [
        record
        for record in made.seen
        if record.topic not in topics.ESCALATIONS.values()
        and not (record.topic == topics.AUDIT and record.event.stage in of_stage)
    ]
    assert judged(made.sent, silent).counts[Violation.SILENCED] >= 1


def test_how_long_a_case_waits_behind_a_foreign_record_is_measured() -> None:
    made = World()
    made.case()
    made.poison()
    behind = made.case()
    made.case()
    later = [
        replace(record, timestamp_ms=record.timestamp_ms + 7_000)
        if record.topic == topics.GRADINGS and record.event.case_id == behind.case_id
        else record
        for record in made.seen
    ]
    (waited,) = judged(made.sent, later).stuck_s
    assert waited == pytest.approx(7.0)


def test_an_emergency_that_took_longer_than_the_limit_is_late() -> None:
    slow = [
        replace(record, timestamp_ms=record.timestamp_ms + 61_000)
        if record.topic in topics.ESCALATIONS.values()
        else record
        for record in SOUND.seen
    ]
    assert judged(SOUND.sent, slow).counts[Violation.LATE]
    assert judged(SOUND.sent, slow, 100_000.0).clean


def test_a_deadline_that_passed_and_raised_nothing_is_late() -> None:
    made = World()
    made.case(lane=Lane.EMERGENCY)
    limits = Tolerance(until=START + timedelta(hours=2), late_after=timedelta(seconds=60))
    assert verify(made.sent, made.seen, REFERENCE, limits).counts[Violation.LATE]


def test_an_escalation_raised_after_its_answer_is_wrong() -> None:
    made = World()
    case = made.case(lane=Lane.EMERGENCY)
    standing = dict(made._standing)
    made.answer(case)
    made._standing = standing
    made.miss(case)
    assert judged(made.sent, made.seen).counts[Violation.WRONG]


def test_a_dead_letter_may_point_to_what_does_not_fit_and_must_point_to_the_right_bytes() -> None:
    made = World()
    made.poison()
    at = next(at for at, record in enumerate(made.seen) if record.topic == topics.DEAD_LETTERS)
    record = next(record for record in made.seen if record.topic == topics.CASES_ROUTINE)
    assert record.value is not None
    pointer = Pointer(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        size=len(record.value),
        sha256=sha256_hex(record.value),
    )
    headers = {**made.seen[at].headers, POINTER: b"1"}

    def with_pointer(what: Pointer) -> list[SeenRecord]:
        seen = list(made.seen)
        seen[at] = replace(seen[at], value=what.to_bytes(), headers=headers)
        return seen

    assert not judged(made.sent, with_pointer(pointer)).counts[Violation.WRONG]
    for change in ({"offset": record.offset + 1}, {"size": 1}, {"sha256": "0" * 64}):
        assert judged(made.sent, with_pointer(replace(pointer, **change))).counts[Violation.WRONG] == 1
