"""Facts are read from bytes of ours, of older schemas, and of anybody's, without a word about what is in them."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from schemas import binary, definitions
from schemas.envelope.audit import audit_key
from schemas.envelope.dead_letter import case_id_of, event_id_of, origin_of
from schemas.envelope.raw import RawRecord
from schemas.events import (
    AuditEntry,
    BradenSubscores,
    CaseEvent,
    ImageReference,
    Lane,
    PatientContext,
    PipelineStage,
    Severity,
)
from schemas.events.content import content_hash
from streams import topics
from streams.audit.decoding import FactReader
from streams.audit.facts import EntryFact, RecordFact, Unreadable, case_in_key, uuid_bytes
from streams.runtime.dead_letter import dead_letter
from streams.runtime.records import InputProblem
from tests.unit.schemas.samples import GRADING_EVENT

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
ENTRY, CASE, NEWER_CASE, ODD, NO_SCHEMA, GRADED = 1, 2, 3, 4, 5, 6


class Known:
    """A registry's answers, by id."""

    def __init__(self) -> None:
        case = json.loads(definitions.text("vigia.v1.CaseEvent"))
        added = {"name": "extra", "type": "string", "default": ""}
        newer = {**case, "fields": [added, *reversed(case["fields"])]}
        self.schemas = {
            ENTRY: definitions.text("vigia.v1.AuditEntry"),
            CASE: json.dumps(case),
            NEWER_CASE: json.dumps(newer),
            ODD: '{"type": "record", "name": "Odd", "fields": [{"name": "event_id", "type": "long"}]}',
            NO_SCHEMA: "[",
            GRADED: definitions.text("vigia.v1.GradingEvent"),
        }
        self.asked: list[int] = []

    def schema(self, schema_id: int) -> str | None:
        self.asked.append(schema_id)
        return self.schemas.get(schema_id)

    def subjects(self, schema_id: int) -> frozenset[str]:
        return frozenset({f"{topics.CASES_ROUTINE}-value"})


SUBSCORES = BradenSubscores(sensory=2, moisture=2, activity=1, mobility=1, nutrition=2, friction=1)


def header(schema_id: int) -> bytes:
    return struct.pack(">bI", 0, schema_id)


def case() -> CaseEvent:
    image = ImageReference(uri="file:///a", sha256="0" * 64, size_bytes=1, media_type="image/jpeg")
    return CaseEvent(
        event_id=uuid4(),
        case_id=uuid4(),
        lane=Lane.ROUTINE,
        captured_at=NOW,
        published_at=NOW,
        image=image,
        context=PatientContext(age=80, braden_subscores=SUBSCORES),
        producer="test",
    )


def entry(**attributes: str) -> AuditEntry:
    return AuditEntry(
        event_id=uuid4(),
        case_id=uuid4(),
        stage=PipelineStage.GRADING,
        decided_at=NOW,
        topic=topics.GRADINGS,
        outcome="graded:urgent",
        input_hash="a" * 64,
        output_hash="b" * 64,
        attributes=attributes,
    )


def record(reader: FactReader, value: bytes | None, key: bytes | None) -> RecordFact:
    return reader.record(topics.CASES_ROUTINE, 1, 7, 9, key, value)


def test_a_record_gives_its_ids_and_its_hash_and_the_schema_is_asked_for_once() -> None:
    known, event = Known(), case()
    reader = FactReader(known)
    value = binary.write(event, header(CASE))
    fact = record(reader, value, str(event.case_id).encode())
    assert (fact.event_id, fact.case_id, fact.sound) == (event.event_id.bytes, event.case_id.bytes, True)
    assert fact.digest == hashlib.sha256(value).digest()
    assert fact.basis == content_hash(event)[:8]
    record(reader, value, str(event.case_id).encode())
    assert known.asked == [CASE]


def test_ids_are_found_whatever_the_order_of_a_newer_schemas_fields() -> None:
    import io

    import fastavro

    known, event = Known(), case()
    plain = {**CaseEvent.__avro__.to_avro(event), "extra": "more"}
    body = io.BytesIO()
    schema = definitions.plain(json.loads(known.schemas[NEWER_CASE]))
    fastavro.schemaless_writer(body, fastavro.parse_schema(schema), plain)
    fact = record(FactReader(known), header(NEWER_CASE) + body.getvalue(), str(event.case_id).encode())
    assert fact.event_id == event.event_id.bytes


def test_a_key_that_names_another_case_than_the_value_is_not_sound() -> None:
    event, other = case(), uuid4()
    fact = record(FactReader(Known()), binary.write(event, header(CASE)), str(other).encode())
    assert (fact.case_id, fact.sound) == (other.bytes, False)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", *map(header, (ENTRY, CASE, ODD, NO_SCHEMA, 99))]),
    st.binary(max_size=40),
)
def test_no_bytes_break_the_reading(body: bytes, before: bytes, key: bytes) -> None:
    reader = FactReader(Known())
    fact = record(reader, before + body, key)
    assert fact.digest == hashlib.sha256(before + body).digest()
    assert (
        fact.case_id
        == case_id_of(
            RawRecord(topic=topics.CASES_ROUTINE, partition=1, offset=7, timestamp_ms=0, key=key, value=None)
        ).bytes
    )
    assert isinstance(reader.entry(0, 0, 0, key, before + body), EntryFact | Unreadable)
    assert record(reader, None, None).event_id is None


@given(st.text("0123456789abcdefABCDEF- {}", max_size=40) | st.uuids().map(str))
def test_uuids_are_read_as_the_standard_library_reads_them_in_their_usual_form(text: str) -> None:
    found = uuid_bytes(text)
    if found is not None:
        assert UUID(text.replace("-", "")).bytes == found
    if len(text) == 36 and text.count("-") == 4 and text == text.strip() and " " not in text and "{" not in text:
        assert found is not None or "}" in text or len(text.replace("-", "")) != 32


def test_an_entry_is_sound_under_its_own_key_only() -> None:
    reader, audited = FactReader(Known()), entry()
    value = binary.write(audited, header(ENTRY))
    own = audit_key(audited.case_id, audited.stage, audited.event_id)
    fact = reader.entry(0, 5, 9, own, value)
    assert isinstance(fact, EntryFact)
    assert (fact.sound, fact.stage, fact.outcome) == (True, "grading", "graded:urgent")
    assert (fact.input, fact.output) == (bytes.fromhex("a" * 64), bytes.fromhex("b" * 64))
    assert fact.decided_ms == int(NOW.timestamp() * 1000)
    assert fact.subject == fact.event_id == audited.event_id.bytes
    for other in (own + b"x", None, audit_key(uuid4(), audited.stage, audited.event_id)):
        changed = reader.entry(0, 5, 9, other, value)
        assert isinstance(changed, EntryFact)
        assert not changed.sound


def test_an_answer_that_was_refused_still_speaks_of_its_own_record() -> None:
    answer = uuid4()
    refused = replace(entry(ack_event_id=str(answer)), stage=PipelineStage.ACKNOWLEDGEMENT)
    for audited, subject in ((refused, answer), (entry(ack_event_id=str(answer)), None)):
        fact = FactReader(Known()).entry(0, 0, 0, None, binary.write(audited, header(ENTRY)))
        assert isinstance(fact, EntryFact)
        assert fact.subject == (subject.bytes if subject else fact.event_id)


def test_a_grading_and_its_entry_agree_on_source_model_policy_and_severity() -> None:
    reader = FactReader(Known())
    source = uuid4()
    decided_by: dict[str, object] = {"source_event_id": source, "model_version": "m", "policy_version": "p"}
    graded = replace(GRADING_EVENT, **decided_by, severity=Severity.URGENT)  # type: ignore[arg-type]
    of_record = reader.record(topics.GRADINGS, 0, 0, 0, b"", binary.write(graded, header(GRADED))).basis
    told = replace(entry(), **decided_by)  # type: ignore[arg-type]
    changes: tuple[dict[str, object], ...] = (
        {"outcome": "graded:attention"},
        {"model_version": "other"},
        {"policy_version": None},
        {"source_event_id": uuid4()},
    )

    def basis(audited: AuditEntry) -> bytes:
        fact = reader.entry(0, 0, 0, None, binary.write(audited, header(ENTRY)))
        assert isinstance(fact, EntryFact)
        return fact.basis

    assert basis(told) == of_record
    asked = replace(told, outcome="quarantined:hash_mismatch", attributes={"severity": "urgent"})
    assert basis(asked) == of_record
    for change in changes:
        assert basis(replace(told, **change)) != of_record  # type: ignore[arg-type]


def test_a_grading_says_how_many_demands_must_follow() -> None:
    reader = FactReader(Known())
    for attributes, expected in (
        ({"escalations": "human_review,specialist_review"}, 2),
        ({"escalations": ""}, 0),
        ({}, 0),
    ):
        fact = reader.entry(0, 0, 0, None, binary.write(entry(**attributes), header(ENTRY)))
        assert isinstance(fact, EntryFact)
        assert fact.follow == expected


def test_a_dead_letter_is_known_by_where_the_original_lay() -> None:
    raw = RawRecord(topic=topics.GRADINGS, partition=3, offset=12, timestamp_ms=1, key=b"no case", value=b"bytes")
    letter = dead_letter(raw, "escalation", InputProblem(reason="undecodable", detail="no avro"))
    origin = origin_of(letter.key, letter.value, dict(letter.headers), 1)
    fact = FactReader(Known()).dead_letter(0, 4, 1, origin, letter.value)
    assert (fact.event_id, fact.case_id) == (event_id_of(raw).bytes, case_id_of(raw).bytes)
    assert fact.digest == hashlib.sha256(b"bytes").digest()
    assert origin_of(b"k", b"v", {}, 1) is None
    assert FactReader(Known()).dead_letter(0, 4, 1, None, b"v").event_id is None


def test_what_a_further_reader_refused_is_accounted_for_by_the_first_one_where_others_wrote_it() -> None:
    reader = FactReader(Known())
    for attributes, origin in (
        ({"topic": topics.CASES_ROUTINE}, topics.CASES_ROUTINE),
        ({"topic": topics.CASES_ROUTINE, "reader": "tissue"}, ""),
        ({"topic": topics.INFERENCES, "reader": "tissue"}, topics.INFERENCES),
    ):
        fact = reader.entry(0, 0, 0, None, binary.write(entry(**attributes), header(ENTRY)))
        assert isinstance(fact, EntryFact)
        assert fact.origin == origin


def test_the_case_of_an_audit_key_is_read_without_its_value() -> None:
    event, case_id = uuid4(), uuid4()
    assert case_in_key(audit_key(case_id, PipelineStage.INGEST, event)) == case_id.bytes
    assert case_in_key(b"no key of ours") is case_in_key(None) is None
