"""What bad input gets, row by row: published for real, answered as promised, and the case behind it served."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import fastavro
import pytest

from ops.lag.clinical.projection import Projection
from ops.system.system import System
from schemas import definitions
from schemas.envelope.dead_letter import PREFIX, case_id_of
from schemas.envelope.raw import RawRecord
from schemas.errors import UndecodableError
from schemas.events import CaseEvent, EscalationType, GradingKind, Lane, ModelStatus
from streams import topics
from streams.audit.decoding import FactReader
from streams.client.consumer import EventConsumer
from streams.images.store import ImageStore
from tests.integration.cases import Publisher, jpeg
from tests.integration.watcher import Seen, Watcher


@pytest.fixture(scope="module")
def publisher(pipeline: System) -> Publisher:
    return Publisher.of(pipeline.settings)


@dataclass(frozen=True)
class Bad:
    """A bad record, and what it must be answered with."""

    value: bytes
    case: CaseEvent
    reason: str
    escalations: frozenset[EscalationType]


HUMAN = frozenset({EscalationType.HUMAN_REVIEW})
HUMAN_AND_SYSTEM = frozenset({EscalationType.HUMAN_REVIEW, EscalationType.SYSTEM_ERROR})


def no_avro(publisher: Publisher) -> Bad:
    return Bad(b"this is no Avro", publisher.case(), "undecodable", HUMAN_AND_SYSTEM)


def unknown_schema_id(publisher: Publisher) -> Bad:
    return Bad(struct.pack(">bI", 0, 999_999) + b"\x00\x01", publisher.case(), "undecodable", HUMAN_AND_SYSTEM)


def schema_of_others(publisher: Publisher, fields: list[dict[str, Any]], value: bytes) -> Bad:
    """A schema that calls itself ours, with more fields in front, registered by anybody."""
    schema = json.loads(definitions.text(CaseEvent.__avro__.full_name))
    schema["fields"] = [*fields, *schema["fields"]]
    schema_id = publisher.serde.registry.register("anyone-value", json.dumps(schema))
    return Bad(struct.pack(">bI", 0, schema_id) + value, publisher.case(), "undecodable", HUMAN_AND_SYSTEM)


def avro_bomb(publisher: Publisher) -> Bad:
    """15 bytes that announce 2⁶¹ nulls: fastavro would count them in C, and nothing else of the process would run."""
    nulls = {"name": "x", "type": {"type": "array", "items": "null"}, "default": []}
    return schema_of_others(publisher, [nulls], b"\x80\x80\x80\x80\x80\x80\x80\x80\x40\x00")


def schema_under_another_subject(publisher: Publisher) -> Bad:
    """Harmless and compatible, and yet nobody put it under the topic's own subject."""
    ward = {"name": "ward", "type": ["null", "string"], "default": None}
    return schema_of_others(
        publisher, [ward], b"\x00" + publisher.serde.encode(publisher.case(), topics.CASES_ROUTINE)[5:]
    )


def truncated_avro(publisher: Publisher) -> Bad:
    case = publisher.case()
    return Bad(publisher.serde.encode(case, topics.CASES_ROUTINE)[:40], case, "undecodable", HUMAN_AND_SYSTEM)


def foreign_record(publisher: Publisher) -> Bad:
    case = publisher.case()
    from schemas.events import TickEvent

    value = publisher.serde.encode(TickEvent(now=case.captured_at), topics.TICKS)
    return Bad(value, case, "unexpected_event", HUMAN_AND_SYSTEM)


def tombstone_is_no_event(publisher: Publisher) -> Bad:
    return Bad(b"", publisher.case(), "undecodable", HUMAN_AND_SYSTEM)


def unchecked(publisher: Publisher, change: Callable[[dict[str, Any]], None]) -> Bad:
    """Well-formed Avro that our own classes would refuse to make."""
    case = publisher.case()
    plain = CaseEvent.__avro__.to_avro(case)
    change(plain)
    body = io.BytesIO()
    fastavro.schemaless_writer(body, json.loads(definitions.text(CaseEvent.__avro__.full_name)), plain)
    header = publisher.serde.encode(case, topics.CASES_ROUTINE)[:5]
    return Bad(header + body.getvalue(), case, "invalid_event", HUMAN)


def context_field(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(plain: dict[str, Any]) -> None:
        plain["context"][name] = value

    return change


def age_400(publisher: Publisher) -> Bad:
    return unchecked(publisher, context_field("age", 400))


def albumin_nan(publisher: Publisher) -> Bad:
    return unchecked(publisher, context_field("albumin_g_dl", float("nan")))


def unknown_lane(publisher: Publisher) -> Bad:
    return unchecked(publisher, lambda plain: plain.update(lane="unknown"))


def with_picture(publisher: Publisher, data: bytes, reason: str) -> Bad:
    """A case whose picture was stored as it is, whatever it is."""
    case = publisher.case(image=publisher.store.put(data, accept_unreadable=True))
    return Bad(publisher.serde.encode(case, topics.CASES_ROUTINE), case, reason, HUMAN)


def with_reference(publisher: Publisher, reason: str, **changes: Any) -> Bad:
    """A case whose picture is not where, or not what, its event says."""
    case = publisher.case()
    case = replace(case, image=replace(case.image, **changes))
    return Bad(publisher.serde.encode(case, topics.CASES_ROUTINE), case, reason, HUMAN)


def picture_missing(publisher: Publisher) -> Bad:
    uri = publisher.case().image.uri
    return with_reference(publisher, "image_missing", uri=uri.rsplit("/", 1)[0] + "/" + "0" * 64)


def picture_changed(publisher: Publisher) -> Bad:
    return with_reference(publisher, "hash_mismatch", sha256="0" * 64)


def picture_outside_the_store(publisher: Publisher) -> Bad:
    return with_reference(publisher, "outside_store", uri="file:///etc/passwd")


def picture_outside_by_dots(publisher: Publisher) -> Bad:
    uri = publisher.case().image.uri
    return with_reference(publisher, "outside_store", uri=uri.rsplit("/", 1)[0] + "/../../../../../../etc/passwd")


def text_for_a_picture(publisher: Publisher) -> Bad:
    return with_picture(publisher, b"not a picture at all", "not_an_image")


def truncated_picture(publisher: Publisher) -> Bad:
    whole = jpeg(seed=5)
    return with_picture(publisher, whole[: len(whole) // 2], "truncated")


def decompression_bomb(publisher: Publisher) -> Bad:
    return with_picture(publisher, png_of_zeroes(20_000, 20_000), "decompression_bomb")


def png_of_zeroes(width: int, height: int) -> bytes:
    """A grey PNG of that size in a few hundred kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + width)) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


ROWS = (
    no_avro,
    unknown_schema_id,
    avro_bomb,
    schema_under_another_subject,
    truncated_avro,
    foreign_record,
    tombstone_is_no_event,
    age_400,
    albumin_nan,
    unknown_lane,
    picture_missing,
    picture_changed,
    picture_outside_the_store,
    picture_outside_by_dots,
    text_for_a_picture,
    truncated_picture,
    decompression_bomb,
)


@pytest.mark.parametrize("make", ROWS, ids=lambda make: make.__name__)
def test_bad_input_is_kept_answered_by_people_and_stops_nobody(
    make: Callable[[Publisher], Bad], publisher: Publisher, watcher: Watcher
) -> None:
    bad = make(publisher)
    behind = replace(publisher.case(), case_id=bad.case.case_id)
    publisher.send(topics.CASES_ROUTINE, bad.case.case_id, bad.value)
    publisher.send_case(behind)

    letter = watcher.dead_letter_of(bad.value)
    assert letter.key == str(bad.case.case_id).encode()
    assert letter.headers[PREFIX + "reason"].decode() == bad.reason
    assert letter.headers[PREFIX + "topic"].decode() == topics.CASES_ROUTINE
    asked = escalations_of(watcher, letter)
    assert {seen.event.type for seen in asked} == bad.escalations
    judged = watcher.of(behind.case_id, topics.INFERENCES)
    assert judged[0].source_event_id == behind.event_id, "the case behind it was not served"


def escalations_of(watcher: Watcher, letter: Seen) -> list[Seen]:
    """The escalations that stem from the quarantine of a dead letter."""
    place = RawRecord(
        topic=letter.headers[PREFIX + "topic"].decode(),
        partition=int(letter.headers[PREFIX + "partition"]),
        offset=int(letter.headers[PREFIX + "offset"]),
        timestamp_ms=0,
        key=letter.key,
        value=letter.value,
    )
    grading = watcher.until(
        lambda seen: (
            seen.topic == topics.GRADINGS
            and seen.event is not None
            and seen.event.kind is GradingKind.QUARANTINE
            and seen.event.case_id == case_id_of(place)
        ),
        what="the grading that asks for people",
    )[0].event
    wanted = len(grading.escalations)
    return watcher.until(
        lambda seen: (
            seen.topic in topics.ESCALATIONS.values()
            and seen.event is not None
            and seen.event.source_event_id == grading.event_id
        ),
        wanted,
        what="the escalations",
    )


def test_a_bomb_stops_neither_the_exporter_nor_a_subscriber_nor_the_audit(
    pipeline: System, publisher: Publisher, watcher: Watcher
) -> None:
    bomb = avro_bomb(publisher)
    publisher.send(topics.CASES_ROUTINE, bomb.case.case_id, bomb.value)
    letter = watcher.dead_letter_of(bomb.value)
    settings = pipeline.settings
    with EventConsumer(settings, [topics.CASES_ROUTINE], None) as consumer:
        errors = [received.error for received in consumer.events(timeout=5.0) if received.value == bomb.value]
    assert "array of what takes no bytes" in str(errors[0])
    assert Projection(publisher.serde.registry).read(topics.CASES_ROUTINE, bomb.value) is None
    with pytest.raises(UndecodableError, match="array of what takes no bytes"):
        FactReader(publisher.serde.registry).datum(bomb.value, topics.CASES_ROUTINE)
    assert letter.value == bomb.value


def test_the_same_event_twice_gives_one_set_of_outputs(publisher: Publisher, watcher: Watcher) -> None:
    case = publisher.case()
    publisher.send_case(case)
    publisher.send_case(case)
    behind = replace(publisher.case(), case_id=case.case_id)
    publisher.send_case(behind)
    inferences = watcher.of(case.case_id, topics.INFERENCES, 2)
    assert [event.source_event_id for event in inferences] == [case.event_id, behind.event_id]
    watcher.settle()
    assert len(watcher.of(case.case_id, topics.INFERENCES)) == 2


def test_a_picture_too_dark_is_never_graded_as_healthy(publisher: Publisher, watcher: Watcher) -> None:
    import cv2
    import numpy as np

    black = cv2.imencode(".jpg", np.full((480, 640, 3), 4, np.uint8))[1].tobytes()
    case = publisher.case(image=publisher.store.put(black))
    publisher.send_case(case)
    inference = watcher.of(case.case_id, topics.INFERENCES)[0]
    assert inference.model_status is ModelStatus.ABSTAINED
    assert inference.findings[0].stage is None
    grading = watcher.of(case.case_id, topics.GRADINGS)[0]
    assert grading.stage is None
    assert EscalationType.HUMAN_REVIEW in {request.type for request in grading.escalations}


def test_a_broken_emergency_is_an_emergency_for_people(publisher: Publisher, watcher: Watcher) -> None:
    case = publisher.case(lane=Lane.EMERGENCY)
    publisher.send(topics.CASES_EMERGENCY, case.case_id, b"\x00broken")
    grading = watcher.of(case.case_id, topics.GRADINGS)[0]
    assert grading.lane is Lane.EMERGENCY
    assert min(request.respond_within_s for request in grading.escalations) <= 300


def test_dead_letters_and_escalations_name_no_path(publisher: Publisher, watcher: Watcher) -> None:
    bad = picture_missing(publisher)
    publisher.send(topics.CASES_ROUTINE, bad.case.case_id, bad.value)
    letter = watcher.dead_letter_of(bad.value)
    message = letter.headers[PREFIX + "message"].decode()
    assert "/" not in message
    assert isinstance(publisher.store, ImageStore)
