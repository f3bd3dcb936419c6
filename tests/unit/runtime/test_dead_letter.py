"""A dead letter keeps what it was and says where it came from."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from schemas.envelope.dead_letter import PREFIX, attempt_of, case_id_of, event_id_of, origin_of
from schemas.envelope.raw import RawRecord
from streams import topics
from streams.pipeline import further_reader
from streams.runtime.dead_letter import dead_letter
from streams.runtime.records import InputProblem

CASE = "7b0f2e2e-6f0a-4b7a-9c1e-0a5a1f6f2d11"
RAW = RawRecord(
    topic="vigia.cases.routine",
    partition=2,
    offset=41,
    timestamp_ms=1,
    key=CASE.encode(),
    value=b"\x00bytes",
    headers=(("trace", b"t"), ("vigia.attempt", b"2")),
)
PROBLEM = InputProblem(reason="hash_mismatch", detail="hash_mismatch: 12 bytes")


def test_key_value_and_headers_are_untouched_and_ours_are_added() -> None:
    letter = dead_letter(RAW, "inference-routine", PROBLEM)
    assert (letter.key, letter.value) == (RAW.key, RAW.value)
    assert letter.headers[: len(RAW.headers)] == RAW.headers
    added = {name.removeprefix(PREFIX): value.decode() for name, value in letter.headers if name.startswith(PREFIX)}
    assert {
        name: added[name] for name in ("stage", "reason", "message", "topic", "partition", "offset", "attempt")
    } == {
        "stage": "inference-routine",
        "reason": "hash_mismatch",
        "message": "hash_mismatch: 12 bytes",
        "topic": "vigia.cases.routine",
        "partition": "2",
        "offset": "41",
        "attempt": "2",
    }


def test_a_second_death_replaces_the_headers_of_the_first() -> None:
    first = dead_letter(RAW, "inference-routine", PROBLEM)
    again = RawRecord(**{**{name: getattr(RAW, name) for name in RAW.__slots__}, "headers": first.headers})
    names = [name for name, _ in dead_letter(again, "grading", PROBLEM).headers]
    assert len(names) == len(set(names))


def test_the_case_is_the_key_or_else_made_from_where_the_record_lies() -> None:
    assert case_id_of(RAW) == UUID(CASE)
    odd = RawRecord(topic="t", partition=0, offset=1, timestamp_ms=0, key=b"\xff", value=None)
    assert case_id_of(odd) == case_id_of(odd) != event_id_of(odd)
    keyless = RawRecord(topic="t", partition=0, offset=2, timestamp_ms=0, key=None, value=None)
    assert case_id_of(keyless) != case_id_of(odd)


def test_attempts_are_counted_from_the_header_and_start_at_zero() -> None:
    assert attempt_of(RAW) == 2
    assert attempt_of(RawRecord(topic="t", partition=0, offset=1, timestamp_ms=0, key=None, value=None)) == 0


def test_two_stages_that_refuse_one_record_make_two_dead_letters_with_ids_of_their_own() -> None:
    second = replace(RAW, reader="tissue")
    assert event_id_of(second) != event_id_of(RAW)
    for raw in (RAW, second):
        letter = dead_letter(raw, "tissue", PROBLEM)
        told = origin_of(letter.key, letter.value, dict(letter.headers), raw.timestamp_ms)
        assert told is not None
        assert event_id_of(told) == event_id_of(raw)
    assert f"{PREFIX}reader" not in dict(dead_letter(RAW, "inference-routine", PROBLEM).headers)


def test_only_a_reader_beside_the_first_is_a_further_one() -> None:
    assert further_reader(topics.INFERENCES, "grading") == ""
    assert further_reader(topics.INFERENCES, "tissue") == "tissue"
    assert further_reader("a.topic.of.nobody", "tissue") == ""
