"""The .avsc files are documented, valid, and say the same as the classes."""

from __future__ import annotations

import dataclasses
import json
from enum import StrEnum
from pathlib import Path
from typing import Any

import fastavro
import pytest

import schemas.events
from schemas import definitions
from schemas.definitions import DefinitionError
from schemas.plans import FieldPlan
from schemas.record import RECORDS, Record

TYPES = definitions.packaged()
ENUMS = {
    f"vigia.v1.{name}": item
    for name, item in vars(schemas.events).items()
    if isinstance(item, type) and issubclass(item, StrEnum)
}


def avro_type(plan: FieldPlan) -> Any:
    kind: Any = plan.kind
    match plan.kind:
        case "uuid":
            kind = {"type": "string", "logicalType": "uuid"}
        case "time":
            kind = {"type": "long", "logicalType": "timestamp-micros"}
        case "enum" | "record":
            kind = f"vigia.v1.{plan.python.__name__}"
        case "array":
            assert plan.item is not None
            kind = {"type": "array", "items": avro_type(plan.item)}
        case "map":
            assert plan.item is not None
            kind = {"type": "map", "values": avro_type(plan.item)}
    return ["null", kind] if plan.optional else kind


@pytest.mark.parametrize("name", TYPES)
def test_every_type_and_field_is_documented(name: str) -> None:
    assert len(TYPES[name]["doc"]) > 10
    for field in TYPES[name].get("fields", ()):
        assert len(field.get("doc", "")) > 4, field["name"]


@pytest.mark.parametrize("name", TYPES)
def test_every_schema_is_valid_and_self_contained(name: str) -> None:
    fastavro.parse_schema(json.loads(definitions.text(name)))


def test_every_record_and_enum_has_a_class_and_every_class_a_file() -> None:
    assert set(TYPES) == set(RECORDS) | set(ENUMS)


@pytest.mark.parametrize("name", ENUMS)
def test_enums_have_the_symbols_of_their_class_and_unknown_as_default(name: str) -> None:
    assert TYPES[name]["symbols"] == [member.value for member in ENUMS[name]]
    assert TYPES[name]["default"] == "unknown"


@pytest.mark.parametrize(("name", "record"), RECORDS.items())
def test_records_have_the_fields_types_and_defaults_of_their_class(name: str, record: type[Record]) -> None:
    fields = {field["name"]: field for field in TYPES[name]["fields"]}
    assert list(fields) == list(record.__avro__.fields)
    for field in dataclasses.fields(record):  # type: ignore[arg-type]
        written = fields[field.name]
        expected = avro_type(record.__avro__.fields[field.name])
        # Small numbers are ints in Avro; the class has one kind of whole number.
        found = json.loads(json.dumps(written["type"]).replace('"int"', '"long"'))
        assert found == expected, field.name
        has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
        assert ("default" in written) == has_default, field.name
        if field.default is not dataclasses.MISSING:
            assert written["default"] == (list(field.default) if isinstance(field.default, tuple) else field.default)
        elif has_default:
            assert written["default"] == {}


def test_whole_numbers_that_avro_keeps_in_32_bits_have_bounds_that_fit() -> None:
    for name, record in RECORDS.items():
        written = {field["name"]: json.dumps(field["type"]) for field in TYPES[name]["fields"]}
        for field, plan in record.__avro__.fields.items():
            if plan.kind == "long":
                (bounds,) = plan.constraints
                assert bounds.high <= (2**31 - 1 if '"int"' in written[field] else 2**63 - 1), (name, field)  # type: ignore[attr-defined]


def test_a_file_not_named_after_its_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "A.avsc").write_text('{"type": "enum", "name": "B", "symbols": ["x"]}')
    with pytest.raises(DefinitionError, match=r"A\.avsc must hold the type named A"):
        definitions.load(tmp_path)


def test_a_file_that_is_no_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "A.avsc").write_text("{")
    with pytest.raises(DefinitionError, match=r"A\.avsc is not JSON"):
        definitions.load(tmp_path)


def test_a_reference_to_a_type_without_a_file_is_named() -> None:
    with pytest.raises(DefinitionError, match=r"vigia\.v1\.Nothing has no \.avsc file"):
        definitions.inline("vigia.v1.Nothing", TYPES)


def test_a_type_used_twice_is_written_out_once() -> None:
    text = definitions.text("vigia.v1.InferenceEvent")
    assert text.count('"name":"ImageReference"') == 1
    assert text.count('"vigia.v1.ImageReference"') == 1


def test_plain_leaves_defaults_alone() -> None:
    field = {"name": "a", "type": {"type": "map", "values": "string"}, "default": {"doc": "kept"}, "doc": "gone"}
    plain = definitions.plain({"type": "record", "name": "R", "fields": [field]})
    assert plain["fields"] == [{"name": "a", "type": {"type": "map", "values": "string"}, "default": {"doc": "kept"}}]
