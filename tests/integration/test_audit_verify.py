"""`Auditor.verify` on a real broker: really produced chains are clean while they grow, and every tampering is named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Message, TopicPartition

from schemas.envelope.audit import audit_key, sha256_hex
from schemas.envelope.partitioner import partition_of
from schemas.events import AuditEntry, CaseEvent, PatientContext, PipelineStage
from streams import topics
from streams.audit.auditor import Auditor, Ready
from streams.audit.report import Kind, Report
from tests.integration.audited_pipeline import PARTITIONS, AuditedPipeline, case_event
from tests.services import KafkaService, RegistryService


@pytest.fixture
def pipeline(kafka: KafkaService, registry: RegistryService, unique: str) -> Iterator[AuditedPipeline]:
    made = AuditedPipeline(kafka, registry, unique)
    yield made
    made.close()


def verify(pipeline: AuditedPipeline, case_id: UUID | None = None, **options: Any) -> Report:
    auditor = Auditor(pipeline.bootstrap_servers, pipeline.serde.registry, prefix=pipeline.prefix)
    return auditor.verify(case_id, **options)


def run_some(pipeline: AuditedPipeline, count: int = 6) -> list[CaseEvent]:
    cases = [case_event("broken" if at % 3 == 2 else "test") for at in range(count)]
    for case in cases:
        pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.run()
    for escalation in pipeline.escalations():
        pipeline.acknowledge(escalation)
    pipeline.run()
    return cases


def kept(messages: list[Message]) -> list[tuple[int, bytes | None, bytes | None, Any]]:
    return [(m.partition() or 0, m.key(), m.value(), m.headers()) for m in messages]


def found(report: Report) -> set[tuple[Kind, str]]:
    return {(finding.kind, finding.topic) for finding in report.findings}


def test_a_chain_is_clean_at_every_step_of_its_way(pipeline: AuditedPipeline) -> None:
    assert verify(pipeline).clean
    pipeline.publish(topics.CASES_ROUTINE, case_event())
    pipeline.publish(topics.CASES_ROUTINE, case_event("broken"))
    report = verify(pipeline)
    assert report.clean
    assert report.pending == 2
    for stage in (pipeline.inference, pipeline.grading, pipeline.escalation):
        pipeline.run(stage)
        report = verify(pipeline)
        assert report.clean, report.findings
        assert report.pending == 0
    for escalation in pipeline.escalations():
        pipeline.acknowledge(escalation)
    report = verify(pipeline)
    assert report.clean
    assert report.pending == len(pipeline.escalations()) > 1
    pipeline.run()
    report = verify(pipeline)
    assert report.clean, report.findings
    assert (report.pending, report.quarantined) == (0, 1)
    assert report.records[topics.GRADINGS] == 2
    assert report.entries > 8


def test_a_used_event_id_is_a_dead_letter_and_a_corrected_context_a_revision(pipeline: AuditedPipeline) -> None:
    case = case_event()
    corrected = replace(case, event_id=uuid4(), context=PatientContext(necrosis=True))
    place = partition_of(str(case.case_id).encode(), PARTITIONS)
    ids = (uuid4() for _ in range(1_000))
    beside = next(each for each in ids if partition_of(str(each).encode(), PARTITIONS) == place)
    others = replace(case_event(case_id=beside), event_id=case.event_id)
    for event in (case, others, corrected):
        pipeline.publish(topics.CASES_ROUTINE, event)
    pipeline.run()
    report = verify(pipeline)
    assert report.clean, report.findings
    assert (report.repeated, report.quarantined) == (0, 1)
    assert report.records[topics.INFERENCES] == 2
    assert verify(pipeline, others.case_id).records[topics.GRADINGS] == 1, "people are asked about it"


def test_an_event_id_used_for_a_case_on_another_partition_is_judged_and_named(pipeline: AuditedPipeline) -> None:
    case = case_event()
    place = partition_of(str(case.case_id).encode(), PARTITIONS)
    ids = (uuid4() for _ in range(1_000))
    elsewhere = next(each for each in ids if partition_of(str(each).encode(), PARTITIONS) != place)
    other = replace(case_event(case_id=elsewhere), event_id=case.event_id)
    for event in (case, other):
        pipeline.publish(topics.CASES_ROUTINE, event)
    pipeline.run()
    report = verify(pipeline)
    assert (report.repeated, report.quarantined) == (0, 0)
    for each in (case, other):
        # No stage can know of it: what it remembers lies with the partition.
        assert verify(pipeline, each.case_id).records[topics.GRADINGS] == 1, "no patient is dropped for another's id"
    assert (Kind.REUSED, topics.CASES_ROUTINE) in found(report)


def test_bad_input_and_duplicates_leave_a_clean_chain(pipeline: AuditedPipeline) -> None:
    case = case_event()
    for _ in range(2):
        pipeline.publish(topics.CASES_ROUTINE, case)
    pipeline.put(topics.CASES_ROUTINE, b"no case", b"no avro")
    pipeline.put(topics.CASES_ROUTINE, None, b"\x00\x00\x00\x00\x63unknown schema")
    pipeline.put(topics.CASES_ROUTINE, b"empty", None)
    elsewhere = (partition_of(str(case.case_id).encode(), PARTITIONS) + 1) % PARTITIONS
    lost = case_event()
    pipeline.put(
        topics.CASES_ROUTINE,
        str(lost.case_id).encode(),
        pipeline.serde.encode(lost, topics.CASES_ROUTINE),
        None,
        elsewhere,
    )
    pipeline.run()
    report = verify(pipeline)
    assert report.clean, report.findings
    assert (report.repeated, report.quarantined, report.pending) == (1, 3, 0)
    for each in (case, lost):
        assert verify(pipeline, each.case_id).clean


def test_a_record_changed_by_hand_is_named(pipeline: AuditedPipeline) -> None:
    run_some(pipeline)
    messages = pipeline.read(topics.GRADINGS)
    changed = [
        (p, k, v[:-1] + bytes([v[-1] ^ 1]) if at == 1 and v else v, h) for at, (p, k, v, h) in enumerate(kept(messages))
    ]
    pipeline.rewrite(topics.GRADINGS, changed)
    report = verify(pipeline)
    assert found(report) == {(Kind.CHANGED, topics.GRADINGS)}
    assert str(report.findings[0].case_id).encode() == messages[1].key()


def test_a_removed_record_is_named(pipeline: AuditedPipeline) -> None:
    run_some(pipeline)
    messages = pipeline.read(topics.INFERENCES)
    pipeline.rewrite(topics.INFERENCES, kept(messages[1:]))
    report = verify(pipeline)
    assert [finding.kind for finding in report.findings] == [Kind.REMOVED]
    assert topics.INFERENCES in report.findings[0].detail
    gone = UUID((messages[0].key() or b"").decode())
    assert report.findings[0].case_id == gone
    assert verify(pipeline, gone).broken[Kind.REMOVED] == 1


def test_records_deleted_up_to_an_offset_are_removed_while_retention_should_have_kept_them(
    pipeline: AuditedPipeline,
) -> None:
    run_some(pipeline)
    number = pipeline.read(topics.GRADINGS)[0].partition()
    place = TopicPartition(pipeline.prefix + topics.GRADINGS, number or 0, 1)
    for future in pipeline.admin.delete_records([place]).values():
        future.result(30)
    report = verify(pipeline)
    assert found(report) == {(Kind.REMOVED, topics.AUDIT)}


def test_a_whole_topic_that_is_gone_is_told(pipeline: AuditedPipeline) -> None:
    run_some(pipeline, 2)
    pipeline.delete(topics.GRADINGS)
    report = verify(pipeline)
    assert found(report) == {(Kind.REMOVED, topics.AUDIT)}
    assert f"topic {topics.GRADINGS} does not exist" in report.notes
    pipeline.create([topics.GRADINGS])


def test_a_foreign_record_is_named(pipeline: AuditedPipeline) -> None:
    run_some(pipeline)
    original = pipeline.read(topics.GRADINGS)[0]
    forged = pipeline.serde.decode(original.value() or b"", original.topic() or "")
    pipeline.publish(topics.GRADINGS, type(forged)(**{**_fields(forged), "event_id": uuid4()}))
    report = verify(pipeline)
    assert found(report) == {(Kind.FOREIGN, topics.GRADINGS)}
    assert report.findings[0].case_id == forged.case_id  # type: ignore[attr-defined]


def test_an_event_that_its_stage_read_and_did_not_audit_is_foreign(pipeline: AuditedPipeline) -> None:
    run_some(pipeline)
    case = case_event()
    pipeline.publish(topics.CASES_ROUTINE, case)
    runner = pipeline._runners[pipeline.inference.name]
    last = pipeline.read(topics.CASES_ROUTINE)
    position = next(m for m in last if m.key() == str(case.case_id).encode())
    assert verify(pipeline).pending == 1
    # As a stage commits, in a transaction: a plain commit is refused where the group has members of its own.
    runner.producer.begin_transaction()
    runner.producer.send_offsets_to_transaction(
        [TopicPartition(position.topic(), position.partition(), position.offset() + 1)],
        runner.consumer.consumer_group_metadata(),
    )
    runner.producer.commit_transaction()
    assert found(verify(pipeline)) == {(Kind.FOREIGN, topics.CASES_ROUTINE)}


def test_a_record_published_twice_by_a_stage_is_named(pipeline: AuditedPipeline) -> None:
    run_some(pipeline)
    message = pipeline.read(topics.ESCALATIONS_HUMAN_REVIEW)[0]
    pipeline.put(topics.ESCALATIONS_HUMAN_REVIEW, message.key(), message.value())
    assert found(verify(pipeline)) == {(Kind.DOUBLED, topics.ESCALATIONS_HUMAN_REVIEW)}


def test_a_hand_made_audit_entry_is_named(pipeline: AuditedPipeline) -> None:
    case = run_some(pipeline)[0]
    real = next(
        event
        for event in (pipeline.serde.decode(m.value() or b"", topics.AUDIT) for m in pipeline.read(topics.AUDIT))
        if isinstance(event, AuditEntry) and event.case_id == case.case_id and event.stage is PipelineStage.GRADING
    )
    home = partition_of(str(case.case_id).encode(), PARTITIONS)

    def write(entry: AuditEntry, key: bytes | None = None) -> None:
        own = audit_key(entry.case_id, entry.stage, entry.event_id)
        pipeline.put(topics.AUDIT, key or own, pipeline.serde.encode(entry, topics.AUDIT), None, home)

    write(AuditEntry(**{**_fields(real), "event_id": uuid4(), "output_hash": sha256_hex(b"nothing")}))
    assert found(verify(pipeline)) == {(Kind.REMOVED, topics.AUDIT)}
    write(AuditEntry(**{**_fields(real), "outcome": "graded:attention"}))
    assert Kind.ENTRY_CHANGED in verify(pipeline, case.case_id).broken
    write(AuditEntry(**{**_fields(real), "case_id": uuid4()}), str(case.case_id).encode() + b"/grading/x")
    pipeline.put(topics.AUDIT, audit_key(case.case_id, PipelineStage.GRADING, uuid4()), b"no entry", None, home)
    pipeline.put(topics.AUDIT, audit_key(case.case_id, PipelineStage.GRADING, real.event_id), None, None, home)
    report = verify(pipeline, case.case_id)
    assert {Kind.ENTRY_REMOVED, Kind.ENTRY_FOREIGN, Kind.ENTRY_CHANGED} <= set(report.broken)


def test_verifying_in_parts_finds_the_same(pipeline: AuditedPipeline) -> None:
    run_some(pipeline, 9)
    messages = pipeline.read(topics.GRADINGS)
    pipeline.rewrite(topics.GRADINGS, kept(messages[2:]))
    pipeline.put(topics.CASES_ROUTINE, b"no case", b"no avro")
    pipeline.run(pipeline.inference)
    ready: list[Ready] = []
    passed: list[int] = []

    def on_ready(told: Any) -> Any:
        ready.append(told)
        return passed.append

    whole, parts = verify(pipeline, on_ready=on_ready), verify(pipeline, memory_bytes=10_000, on_ready=on_ready)
    assert ready[0].parts == 1
    assert ready[1].parts > 2
    # Each once, however many parts: read once per part, the second year of cases took four times as long as the first.
    assert ready[0].offsets == ready[1].offsets
    assert sum(passed) == ready[0].offsets + ready[1].offsets
    assert parts.records == whole.records
    assert parts.entries == whole.entries
    assert parts.broken == whole.broken
    assert sum(parts.broken.values()) == 2
    assert parts.counted() == whole.counted()


def _fields(event: Any) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__dataclass_fields__}
