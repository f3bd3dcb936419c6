"""Addresses, filters, and the rules that keep a redrive from going round and round."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from schemas.envelope.audit import sha256_hex
from schemas.envelope.pointer import Pointer
from schemas.envelope.raw import RawRecord
from streams import topics
from streams.dead_letters.originals import OriginalGoneError, Originals, kept_of
from streams.dead_letters.read import Address, Audited, DeadLetter, Filter, audited
from streams.dead_letters.redrive import MOST_REDRIVES, Rules, Status

CASE = UUID(int=5)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def letter(topic: str = topics.CASES_ROUTINE, attempt: int = 0, *, foreign: bool = False) -> DeadLetter:
    origin = RawRecord(topic=topic, partition=1, offset=2, timestamp_ms=3, key=str(CASE).encode(), value=b"Juana Perez")
    return DeadLetter(
        address=Address(1, 41),
        written_at=NOW,
        stage="inference-routine",
        reason="hash_mismatch",
        message="the picture is another one",
        attempt=attempt,
        origin=None if foreign else origin,
        value=b"Juana Perez",
    )


def test_an_address_is_read_as_it_is_written() -> None:
    assert Address.parse(str(Address(2, 41))) == Address.parse("vigia.dead-letters/2/41") == Address(2, 41)


@pytest.mark.parametrize("text", ["", "2", "2/x", "a/b/c/d", "-1/2", "2/"])
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="such as 2/41"):
        Address.parse(text)


@pytest.mark.parametrize(
    ("wanted", "holds"),
    [
        (Filter(), True),
        (Filter(stage="inference-routine", reason="hash_mismatch", topic=topics.CASES_ROUTINE, case_id=CASE), True),
        (Filter(stage="grading"), False),
        (Filter(reason="undecodable"), False),
        (Filter(topic=topics.GRADINGS), False),
        (Filter(case_id=UUID(int=6)), False),
        (Filter(since=NOW), True),
        (Filter(since=NOW + timedelta(seconds=1)), False),
    ],
)
def test_a_filter_holds_what_matches_in_everything_it_names(wanted: Filter, holds: bool) -> None:
    assert wanted.holds(letter()) is holds


def test_a_letter_that_says_nothing_of_its_origin_has_no_case_and_no_topic() -> None:
    assert letter(foreign=True).case_id is None
    assert not Filter(topic=topics.CASES_ROUTINE).holds(letter(foreign=True))


def test_the_text_of_a_letter_does_not_hold_its_value() -> None:
    assert "Juana" not in str(letter(foreign=True))


@pytest.mark.parametrize(
    ("dead", "audited", "rules", "status"),
    [
        (letter(), Audited(True, 0), Rules(), Status.WOULD_BE),
        (letter(), Audited(True, 1), Rules(), Status.ALREADY),
        (letter(), Audited(True, 1), Rules(again=True), Status.WOULD_BE),
        (letter(), Audited(True, MOST_REDRIVES), Rules(again=True), Status.ALREADY),
        (letter(attempt=3), Audited(True, 0), Rules(), Status.TOO_OFTEN),
        (letter(attempt=2), Audited(True, 0), Rules(), Status.WOULD_BE),
        (letter(attempt=3), Audited(True, 0), Rules(force=True), Status.WOULD_BE),
        (letter(attempt=3), Audited(True, 1), Rules(force=True), Status.ALREADY),
        (letter(), Audited(False, 0), Rules(force=True, again=True), Status.NOT_OURS),
        (letter(foreign=True), Audited(True, 0), Rules(force=True), Status.NOT_OURS),
        (letter(topics.AUDIT), Audited(True, 0), Rules(force=True), Status.NO_STAGE),
        (letter(topics.TICKS), Audited(True, 0), Rules(), Status.NO_STAGE),
    ],
)
def test_a_letter_is_sent_again_only_as_the_rules_let_it(
    dead: DeadLetter, audited: Audited, rules: Rules, status: Status
) -> None:
    assert rules.status(dead, audited) is status


def entry_of(found: DeadLetter) -> tuple[bytes | None, bytes]:
    """What the stage's audit entry on a letter looks like: its hashes are texts in it."""
    return found.audit_key, b"\x02\x00H" + sha256_hex(found.value).encode() + b"\x00"


def test_a_forged_letter_with_genuine_headers_is_not_known_and_spoils_no_genuine_one() -> None:
    genuine = letter()
    forged = replace(genuine, address=Address(0, 3), value=b"another case")
    twice = replace(genuine, address=Address(1, 99))
    for letters in ([genuine, forged, twice], [forged, twice, genuine]):
        told = audited(letters, [entry_of(genuine)])
        assert {address: each.known for address, each in told.items()} == {
            genuine.address: True,
            twice.address: True,
            forged.address: False,
        }
    assert Rules(force=True, again=True).status(forged, audited([forged], [entry_of(genuine)])[forged.address]) is (
        Status.NOT_OURS
    )


def test_an_entry_that_was_erased_or_replaced_makes_no_letter_known() -> None:
    genuine = letter()
    assert not audited([genuine], [entry_of(genuine), (genuine.audit_key, None)])[genuine.address].known
    assert audited([genuine], [(genuine.audit_key, None), entry_of(genuine)])[genuine.address].known
    assert audited([letter(foreign=True)], [])[genuine.address] == Audited(known=False, redriven=0)


def test_each_time_a_letter_was_sent_again_is_counted() -> None:
    genuine = letter()
    told = audited([genuine], [entry_of(genuine), (genuine.redrive_key(1), b"x"), (genuine.redrive_key(2), b"y")])
    assert told[genuine.address] == Audited(known=True, redriven=2)


def test_each_time_a_letter_is_sent_again_has_an_audit_key_of_its_own() -> None:
    keys = {letter().redrive_key(count) for count in range(1, MOST_REDRIVES + 1)} | {letter().audit_key}
    assert len(keys) == MOST_REDRIVES + 1
    assert all(key is not None and key.startswith(str(CASE).encode()) for key in keys)


def test_a_notification_that_failed_can_be_sent_again() -> None:
    found = letter(topics.ESCALATIONS_EMERGENCY)
    assert Rules().status(found, Audited(known=True, redriven=0)) is Status.WOULD_BE


class Log:
    """What is needed of DeadLetters to look for a record in its topic: a topic that has nothing any more."""

    prefix = ""
    cluster = None

    def places(self, topic: str) -> list[tuple[str, int]]:
        return []


class Kept:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def get(self, address: str, size: int, sha256: str) -> bytes:
        return self.data


def pointing(stored: str | None) -> DeadLetter:
    pointer = Pointer(topic=topics.CASES_ROUTINE, partition=1, offset=2, size=3, sha256="a" * 64, stored=stored)
    whole = letter()
    assert whole.origin is not None
    origin = replace(whole.origin, value=None, held=False, size=3, sha256="a" * 64)
    return replace(whole, origin=origin, value=pointer.to_bytes(), pointer=pointer)


def test_the_record_of_a_pointer_is_read_from_the_store_once_its_topic_has_it_no_more() -> None:
    found = Originals(Log(), Kept(b"abc")).of(pointing("file:///records/aa/a.record"))  # type: ignore[arg-type]
    assert (found.value, found.held, found.topic) == (b"abc", True, topics.CASES_ROUTINE)


@pytest.mark.parametrize("gone", [pointing(None), letter(foreign=True), replace(letter(), bounded=True)])
def test_a_record_that_is_nowhere_is_gone_and_named_so(gone: DeadLetter) -> None:
    with pytest.raises(OriginalGoneError):
        Originals(Log(), Kept(b"abc")).of(gone)  # type: ignore[arg-type]
    assert Originals(Log()).of(letter()) == letter().origin  # type: ignore[arg-type]


def test_what_a_case_shares_with_another_in_the_record_store_is_not_its_own() -> None:
    def kept(sha256: str, case: UUID = CASE, stored: str | None = "file:///records/x") -> DeadLetter:
        made = letter()
        assert made.origin is not None
        pointer = Pointer(topic="t", partition=0, offset=1, size=3_000_000, sha256=sha256, stored=stored)
        return replace(made, pointer=pointer, origin=replace(made.origin, key=str(case).encode()))

    shared = kept("b" * 64, UUID(int=6))
    letters = [kept("a" * 64), kept("a" * 64), kept("b" * 64), shared, kept("c" * 64, stored=None), letter(), kept("")]
    own, others = kept_of(letters, CASE)
    assert [pointer.sha256 for pointer in own] == ["a" * 64]
    assert others == 1
    assert kept_of(letters, UUID(int=7)) == ([], 0)
