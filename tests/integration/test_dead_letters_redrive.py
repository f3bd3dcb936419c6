"""Dead letters on a real broker: found, sent again once, processed by their stage, and never round and round."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from confluent_kafka import Message

from schemas.envelope.dead_letter import ATTEMPT, PREFIX
from streams import topics
from streams.audit.auditor import Auditor
from streams.audit.report import Report
from streams.dead_letters.read import Address, DeadLetter, DeadLetters, Filter, NoSuchLetterError
from streams.dead_letters.redrive import Rules, Status, redrive
from tests.integration.audited_pipeline import AuditedPipeline, case_event
from tests.services import KafkaService, RegistryService


@pytest.fixture
def pipeline(kafka: KafkaService, registry: RegistryService, unique: str) -> Iterator[AuditedPipeline]:
    made = AuditedPipeline(kafka, registry, unique)
    yield made
    made.close()


def reader(pipeline: AuditedPipeline) -> DeadLetters:
    return DeadLetters(pipeline.bootstrap_servers, prefix=pipeline.prefix)


def send(pipeline: AuditedPipeline, letters: list[DeadLetter], rules: Rules | None = None) -> list[Status]:
    return [outcome.status for outcome in redrive(reader(pipeline), pipeline.serde, letters, rules or Rules())]


def verified(pipeline: AuditedPipeline) -> Report:
    report = Auditor(pipeline.bootstrap_servers, pipeline.serde.registry, prefix=pipeline.prefix).verify()
    assert report.clean, report.findings
    return report


def of_topic(pipeline: AuditedPipeline, topic: str, key: bytes) -> list[Message]:
    return [message for message in pipeline.read(topic) if message.key() == key]


def test_dead_letters_are_found_by_what_they_are_and_where_they_lie(pipeline: AuditedPipeline) -> None:
    broken = case_event("broken")
    pipeline.publish(topics.CASES_ROUTINE, broken)
    pipeline.put(topics.CASES_ROUTINE, b"no case", b"no avro", [("trace", b"1")])
    pipeline.put(topics.GRADINGS, b"no case", b"no avro either")
    pipeline.run()
    letters = reader(pipeline)
    found = {letter.reason: letter for letter in letters.letters(Filter(stage="inference-routine"))}
    assert set(found) == {"hash_mismatch", "undecodable"}
    assert len(letters.letters()) == 3
    assert [letter.stage for letter in letters.letters(Filter(topic=topics.GRADINGS))] == ["escalation"]
    assert [letter.case_id for letter in letters.letters(Filter(case_id=broken.case_id))] == [broken.case_id]
    odd = found["undecodable"]
    assert odd.origin is not None
    assert (odd.origin.key, odd.origin.value, odd.origin.headers) == (b"no case", b"no avro", (("trace", b"1"),))
    assert letters.letter(odd.address) == odd
    assert all(told.known and not told.redriven for told in letters.audited(list(found.values())).values())
    assert letters.letters(Filter(since=odd.written_at.replace(year=odd.written_at.year + 1))) == []
    assert odd in letters.letters(Filter(since=odd.written_at))
    with pytest.raises(NoSuchLetterError):
        letters.letter(Address(odd.address.partition, 1_000))


def test_a_mended_case_is_sent_again_and_judged_and_a_second_redrive_sends_nothing(pipeline: AuditedPipeline) -> None:
    case = case_event("broken")
    key = str(case.case_id).encode()
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run()
    letters = reader(pipeline).letters()
    assert send(pipeline, letters, Rules(dry_run=True)) == [Status.WOULD_BE]
    assert len(of_topic(pipeline, topics.CASES_ROUTINE, key)) == 1
    pipeline.inference.repaired = True
    assert send(pipeline, letters) == [Status.REDRIVEN]
    assert send(pipeline, letters) == [Status.ALREADY]
    first, second = of_topic(pipeline, topics.CASES_ROUTINE, key)
    assert (second.key(), second.value(), second.partition()) == (first.key(), first.value(), first.partition())
    assert dict(second.headers() or ()) == {ATTEMPT: b"1"}
    pipeline.run()
    assert len(of_topic(pipeline, topics.INFERENCES, key)) == 1
    assert len(of_topic(pipeline, topics.GRADINGS, key)) == 2
    assert [m.key() for m in pipeline.read(topics.DEAD_LETTERS)] == [key]
    report = verified(pipeline)
    assert (report.redriven, report.quarantined) == (1, 1)


def test_what_fails_again_and_again_is_refused_in_the_end(pipeline: AuditedPipeline) -> None:
    pipeline.publish(topics.CASES_ROUTINE, case_event("broken"))
    pipeline.run()
    sent: list[Status] = []
    for _ in range(4):
        sent = send(pipeline, reader(pipeline).letters(), Rules(max_attempts=2))
        pipeline.run()
    assert sent == [Status.ALREADY, Status.ALREADY, Status.TOO_OFTEN]
    last = reader(pipeline).letters()[-1]
    assert last.attempt == 2
    assert send(pipeline, [last], Rules(max_attempts=2, force=True)) == [Status.REDRIVEN]
    pipeline.run()
    assert [letter.attempt for letter in reader(pipeline).letters()] == [0, 1, 2, 3]
    verified(pipeline)


def test_only_again_sends_the_same_dead_letter_twice_and_the_stage_still_processes_it_once(
    pipeline: AuditedPipeline,
) -> None:
    case = case_event("broken")
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run()
    pipeline.inference.repaired = True
    letters = reader(pipeline).letters()
    assert send(pipeline, letters) == [Status.REDRIVEN]
    assert send(pipeline, letters, Rules(again=True)) == [Status.REDRIVEN]
    assert reader(pipeline).audited(letters)[letters[0].address].redriven == 2
    pipeline.run()
    assert len(of_topic(pipeline, topics.INFERENCES, str(case.case_id).encode())) == 1
    assert verified(pipeline).redriven == 2


def test_an_internal_event_that_is_sent_again_is_no_doubled_record(pipeline: AuditedPipeline) -> None:
    case = case_event()
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run(pipeline.inference)
    policy, pipeline.grading._policy = pipeline.grading._policy, None  # type: ignore[assignment]
    pipeline.run(pipeline.grading)
    pipeline.grading._policy = policy
    letters = reader(pipeline).letters()
    assert [letter.reason for letter in letters] == ["stage_failed"]
    assert send(pipeline, letters) == [Status.REDRIVEN]
    pipeline.run()
    assert len(of_topic(pipeline, topics.INFERENCES, str(case.case_id).encode())) == 2
    assert len(of_topic(pipeline, topics.GRADINGS, str(case.case_id).encode())) == 2
    verified(pipeline)


def test_what_no_stage_wrote_is_not_published_in_its_name(pipeline: AuditedPipeline) -> None:
    case = case_event()
    forged = {"stage": "grading", "topic": topics.GRADINGS, "partition": "0", "offset": "7", "reason": "x"}
    headers = [(PREFIX + name, text.encode()) for name, text in forged.items()]
    pipeline.put(topics.DEAD_LETTERS, str(case.case_id).encode(), b"forged", headers)
    pipeline.put(topics.DEAD_LETTERS, str(case.case_id).encode(), b"forged without headers")
    letters = reader(pipeline).letters()
    assert send(pipeline, letters, Rules(force=True, again=True)) == [Status.NOT_OURS, Status.NOT_OURS]
    assert pipeline.read(topics.GRADINGS) == []


def test_a_forged_letter_with_genuine_headers_is_not_sent_and_the_genuine_one_is(pipeline: AuditedPipeline) -> None:
    case = case_event("broken")
    pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run()
    (genuine,) = pipeline.read(topics.DEAD_LETTERS)
    forged = pipeline.serde.encode(replace(case, producer="forger"), topics.CASES_ROUTINE)
    headers = [(name, value) for name, value in genuine.headers() or () if value is not None]
    pipeline.put(topics.DEAD_LETTERS, genuine.key(), forged, headers)
    letters = reader(pipeline).letters()
    told = dict(zip([letter.value == forged for letter in letters], send(pipeline, letters), strict=True))
    assert told == {False: Status.REDRIVEN, True: Status.NOT_OURS}
    assert forged not in [message.value() for message in pipeline.read(topics.CASES_ROUTINE)]


def test_many_are_sent_in_order_over_several_transactions(
    pipeline: AuditedPipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.dead_letters.redrive.BATCH", 4)
    for _ in range(10):
        pipeline.publish(topics.CASES_ROUTINE, case_event("broken"))
    pipeline.put(topics.CASES_ROUTINE, None, b"without key or sense")
    pipeline.run(pipeline.inference)
    letters = reader(pipeline).letters()
    assert send(pipeline, letters) == [Status.REDRIVEN] * 11
    assert len(pipeline.read(topics.CASES_ROUTINE)) == 22
    pipeline.inference.repaired = True
    pipeline.run()
    assert len(pipeline.read(topics.INFERENCES)) == 10
    assert [letter.attempt for letter in reader(pipeline).letters()][11:] == [1]
    verified(pipeline)
