"""Events and bytes: nothing is lost, other writers are understood, and bad bytes bring nothing but our errors."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from io import BytesIO
from typing import Any
from uuid import UUID

import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import binary, definitions
from schemas.errors import ContractError, InvalidEventError, UndecodableError
from schemas.events import CaseEvent, Lane, StageClass
from schemas.record import RECORDS, Record
from tests.unit.schemas import samples
from tests.unit.schemas.strategies import events

#: Big events take Hypothesis a while to draw; that says nothing of the code.
SLOW_TO_DRAW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
CASE_SCHEMA = definitions.text("vigia.v1.CaseEvent")


def own_reader(record: type[Record]) -> binary.Reader:
    return binary.reader(definitions.text(record.__avro__.full_name))


READERS = {record: own_reader(record) for record in RECORDS.values()}
BY_NAME = [pytest.param(record, id=record.__name__) for record in RECORDS.values()]


def foreign(schema: Any, datum: dict[str, Any]) -> bytes:
    """What another implementation, which knows logical types, writes."""
    buffer = BytesIO()
    fastavro.schemaless_writer(buffer, fastavro.parse_schema(schema), datum)
    return buffer.getvalue()


def as_foreign(value: Any) -> Any:
    """An event as the plain dictionaries that any Avro library takes."""
    if isinstance(value, Record):
        return {name: as_foreign(getattr(value, name)) for name in value.__avro__.fields}
    if isinstance(value, tuple):
        return [as_foreign(item) for item in value]
    return str(value) if isinstance(value, str) else value


def altered(change: Callable[[dict[str, Any]], None], full_name: str = "vigia.v1.CaseEvent") -> Any:
    """This version's schema with a change: that of another version of the writer."""
    schema = definitions.inline(full_name, definitions.packaged())
    schema = json.loads(json.dumps(schema))
    change(schema)
    return schema


@pytest.mark.parametrize("record", BY_NAME)
@given(data=st.data())
@SLOW_TO_DRAW
def test_what_is_written_is_read_back_the_same(record: type[Record], data: st.DataObject) -> None:
    event = data.draw(events(record))
    assert READERS[record](binary.write(event), 0) == event


@pytest.mark.parametrize("event", samples.ALL, ids=lambda event: type(event).__name__)
def test_the_bytes_are_those_that_any_other_avro_library_writes(event: Record) -> None:
    schema = json.loads(definitions.text(event.__avro__.full_name))
    assert binary.write(event) == foreign(schema, as_foreign(event))


def test_another_library_reads_times_and_ids_with_their_types() -> None:
    schema = json.loads(CASE_SCHEMA)
    read: Any = fastavro.schemaless_reader(BytesIO(binary.write(samples.CASE_EVENT)), schema, None)
    assert read["case_id"] == samples.CASE
    assert isinstance(read["case_id"], UUID)
    assert read["captured_at"] == samples.NOW
    assert isinstance(read["captured_at"], datetime)


def test_the_header_stands_before_the_event_and_the_reader_steps_over_it() -> None:
    value = binary.write(samples.TICK_EVENT, b"HEADER")
    assert value.startswith(b"HEADER")
    assert READERS[type(samples.TICK_EVENT)](value, 6) == samples.TICK_EVENT


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_random_bytes_bring_nothing_but_our_errors(value: bytes) -> None:
    for read in READERS.values():
        with suppress(ContractError):
            read(value, 0)


@given(st.sampled_from(samples.ALL), st.data())
@settings(max_examples=400, deadline=None)
def test_damaged_bytes_bring_an_event_or_our_errors(event: Record, data: st.DataObject) -> None:
    value = bytearray(binary.write(event))
    for _ in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ContractError):
        READERS[type(event)](bytes(value), 0)


@given(st.sampled_from(samples.ALL), st.data())
@settings(deadline=None)
def test_a_cut_off_event_is_undecodable(event: Record, data: st.DataObject) -> None:
    value = binary.write(event)
    with pytest.raises(UndecodableError):
        READERS[type(event)](value[: data.draw(st.integers(0, len(value) - 1))], 0)


def test_bytes_left_over_are_undecodable() -> None:
    with pytest.raises(UndecodableError, match=r"2 bytes are left over after vigia\.v1\.TickEvent"):
        READERS[type(samples.TICK_EVENT)](binary.write(samples.TICK_EVENT) + b"xx", 0)


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("case_id",), "no uuid", "CaseEvent.case_id must be a UUID"),
        (("captured_at",), 2**62, "CaseEvent.captured_at must be a time within the years 1 to 9999"),
        (("lane",), "unknown", "CaseEvent.lane must be a symbol that this version knows"),
        (("patient_token",), "CD-2025-001", "CaseEvent.patient_token must be an opaque token of the client library"),
        (("context", "age"), 400, "PatientContext.age must lie in 0 to 120"),
        (("context", "albumin_g_dl"), float("nan"), "PatientContext.albumin_g_dl must lie in 0.0 to 10.0"),
        (("image", "sha256"), "0", "ImageReference.sha256 must be 64 lower-case hexadecimal digits"),
        (("image", "size_bytes"), -1, "ImageReference.size_bytes must be 0 or more"),
    ],
)
def test_a_well_formed_event_with_an_impossible_value_names_the_field(
    path: tuple[str, ...], value: Any, named: str
) -> None:
    schema = definitions.plain(json.loads(CASE_SCHEMA))
    datum: Any = fastavro.schemaless_reader(BytesIO(binary.write(samples.CASE_EVENT)), schema, None)
    place = datum
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(InvalidEventError, match=named) as caught:
        READERS[CaseEvent](foreign(schema, datum), 0)
    assert str(value) not in str(caught.value) or value in (-1, "0", "unknown")


def test_a_writer_of_an_older_version_is_read_with_defaults() -> None:
    def older(schema: dict[str, Any]) -> None:
        schema["fields"] = [field for field in schema["fields"] if field["name"] != "synthetic"]

    schema = altered(older)
    value = foreign(schema, as_foreign(samples.CASE_EVENT))
    assert binary.reader(json.dumps(schema))(value, 0) == samples.CASE_EVENT


def test_a_writer_of_a_newer_version_is_read_without_what_it_added() -> None:
    def newer(schema: dict[str, Any]) -> None:
        schema["fields"].insert(2, {"name": "ward", "type": ["null", "string"], "default": None})

    schema = altered(newer)
    value = foreign(schema, as_foreign(samples.CASE_EVENT) | {"ward": "UCI"})
    assert binary.reader(json.dumps(schema))(value, 0) == samples.CASE_EVENT


def with_new_symbol(name: str) -> Any:
    """Writer's schema of InferenceEvent in which the enum `name` has one symbol more."""

    def add(node: Any) -> None:
        for item in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
            add(item)
        if isinstance(node, dict) and node.get("type") == "enum" and node.get("name") == name:
            node["symbols"].append("brand_new")

    return altered(add, "vigia.v1.InferenceEvent")


def test_a_new_class_of_a_newer_model_is_read_as_unknown_for_the_rules_to_answer() -> None:
    schema = with_new_symbol("StageClass")
    datum = as_foreign(samples.INFERENCE_EVENT)
    datum["findings"][0]["stage"] = "brand_new"
    read: Any = binary.reader(json.dumps(schema))(foreign(schema, datum), 0)
    assert read.findings[0].stage is StageClass.UNKNOWN


def test_a_new_lane_or_infection_sign_is_refused_since_the_decision_depends_on_it() -> None:
    schema = with_new_symbol("Lane")
    datum = as_foreign(samples.INFERENCE_EVENT) | {"lane": "brand_new"}
    with pytest.raises(InvalidEventError, match="lane must be a symbol that this version knows"):
        binary.reader(json.dumps(schema))(foreign(schema, datum), 0)
    schema = with_new_symbol("InfectionSign")
    datum = as_foreign(samples.INFERENCE_EVENT)
    datum["context"]["infection_signs"] = ["brand_new"]
    with pytest.raises(InvalidEventError, match="infection_signs must be a symbol that this version knows"):
        binary.reader(json.dumps(schema))(foreign(schema, datum), 0)


@pytest.mark.parametrize("schema", ["", "{", "[]", '"string"', '{"type": "record"}', '{"type": "nonsense"}', "null"])
def test_what_is_no_schema_is_undecodable(schema: str) -> None:
    with pytest.raises(UndecodableError):
        binary.reader(schema)


def test_a_foreign_record_is_undecodable() -> None:
    with pytest.raises(UndecodableError, match=r"org\.example\.Other is none of the contract's"):
        binary.reader('{"type": "record", "name": "Other", "namespace": "org.example", "fields": []}')


def test_a_version_that_breaks_the_contract_is_undecodable() -> None:
    def break_it(schema: dict[str, Any]) -> None:
        schema["fields"][2]["type"] = "double"

    schema = altered(break_it)
    datum = as_foreign(samples.CASE_EVENT) | {"lane": 1.0}
    with pytest.raises(UndecodableError, match=r"not compatible with ours: type in vigia\.v1\.CaseEvent"):
        binary.reader(json.dumps(schema))(foreign(schema, datum), 0)


def test_text_that_is_no_unicode_is_refused_without_showing_it() -> None:
    event = dataclasses.replace(samples.ESCALATION_EVENT, policy_version="1 \ud800")
    with pytest.raises(InvalidEventError, match="must be valid Unicode") as caught:
        binary.write(event)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_enums_are_text_wherever_text_is_expected() -> None:
    assert f"{Lane.EMERGENCY}" == "emergency"
