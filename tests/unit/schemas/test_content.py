"""By which the same event come again is told from another under its id."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import given

from schemas import binary, definitions
from schemas.events import CaseEvent, PatientContext
from schemas.events.content import content_hash, content_hash_of, context_digest
from tests.unit.ops.hostile_output import forced
from tests.unit.schemas import strategies
from tests.unit.schemas.samples import CASE_EVENT


@pytest.mark.no_cover
@given(strategies.events(CaseEvent))
def test_an_events_bytes_tell_its_content_as_the_event_does(event: CaseEvent) -> None:
    schema = fastavro.parse_schema(definitions.plain(json.loads(definitions.text("vigia.v1.CaseEvent"))))
    datum: Any = fastavro.schemaless_reader(BytesIO(binary.write(event)), schema, None)
    assert content_hash_of(datum) == content_hash(event)


@pytest.mark.no_cover
@given(strategies.events(PatientContext), strategies.events(PatientContext))
def test_another_context_is_another_content_and_another_event(one: PatientContext, two: PatientContext) -> None:
    assert (context_digest(one) == context_digest(two)) == (one == two)
    events = [replace(CASE_EVENT, context=context) for context in (one, two)]
    assert (content_hash(events[0]) == content_hash(events[1])) == (one == two)


@pytest.mark.parametrize(
    "changes",
    [
        {"case_id": UUID(int=7)},
        {"patient_token": None},
        {"captured_at": CASE_EVENT.captured_at + timedelta(microseconds=1)},
        {"image": replace(CASE_EVENT.image, sha256="0" * 64)},
        {"context": PatientContext()},
        {"synthetic": True, "patient_token": None, "context": PatientContext()},
    ],
)
def test_what_says_something_else_of_a_case_has_other_content(changes: dict[str, Any]) -> None:
    assert content_hash(forced(CASE_EVENT, **changes)) != content_hash(CASE_EVENT)


def test_the_same_case_from_elsewhere_and_later_has_the_same_content() -> None:
    later = replace(CASE_EVENT, published_at=CASE_EVENT.published_at + timedelta(days=1), producer="another-tablet")
    assert content_hash(later) == content_hash(CASE_EVENT)


def test_what_a_newer_version_adds_and_nobody_has_filled_in_changes_nothing() -> None:
    datum = CASE_EVENT.__avro__.to_avro(CASE_EVENT)
    newer = {**datum, "context": {**datum["context"], "continence": None}}
    assert content_hash_of(newer) == content_hash_of(datum)
    assert context_digest(PatientContext()) == "", "the id of an event without a context is the one of version 0.1"
