"""Each rule of Avro's schema resolution, and the promise that an incompatible edit fails and says where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import pytest
from fastavro.utils import generate_one
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from schemas import compatibility, definitions
from schemas.compatibility import problems


def record(*fields: Any, name: str = "R", **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "namespace": "n", "fields": list(fields), **more}


def field(type: Any, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type, **more}


def enum(*symbols: str, name: str = "E", **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": name, "namespace": "n", "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F") -> dict[str, Any]:
    return {"type": "fixed", "name": name, "namespace": "n", "size": size}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


UUID_TEXT = {"type": "string", "logicalType": "uuid"}
MICROS = {"type": "long", "logicalType": "timestamp-micros"}
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]

A, B = field("int", "a"), field("int", "b")

#: (what, reader, writer, rule broken or None)
RULES: list[tuple[str, Any, Any, str | None]] = [
    ("the same record", record(field("int")), record(field("int")), None),
    ("a field the reader does not know", record(), record(field("int")), None),
    ("a field the writer lacks, with a default", record(field("int", default=1)), record(), None),
    ("a field the writer lacks, without one", record(field("int")), record(), "default"),
    ("fields in another order", record(A, B), record(B, A), None),
    ("a renamed field with an alias", record(field("int", "b", aliases=["a"])), record(A), None),
    ("a renamed field without one", record(field("int", "b")), record(A), "default"),
    ("an aliased field of another type", record(field("bytes", "b", aliases=["a"])), record(A), "type"),
    ("another record name", record(name="A"), record(name="B"), "name"),
    ("another record name with an alias", record(name="A", aliases=["B"]), record(name="B"), None),
    ("an alias in full", record(name="A", aliases=["m.B"]), {**record(name="B"), "namespace": "m"}, None),
    ("another namespace", record(), {**record(), "namespace": "m"}, "name"),
    ("a symbol the reader lacks", enum("a"), enum("a", "b"), "enum-symbol"),
    ("a symbol the reader lacks, with a default", enum("a", default="a"), enum("a", "b"), None),
    ("a symbol the writer lacks", enum("a", "b"), enum("a"), None),
    ("another enum name", enum("a", name="X"), enum("a"), "name"),
    ("another fixed size", fixed(4), fixed(8), "fixed-size"),
    ("another fixed name", fixed(4, "G"), fixed(4), "name"),
    ("items promoted", array("long"), array("int"), None),
    ("items of another type", array("int"), array("long"), "type"),
    ("values promoted", mapping("double"), mapping("float"), None),
    ("values of another type", mapping("string"), mapping("int"), "type"),
    ("an array for a map", array("int"), mapping("int"), "type"),
    ("a value made optional", ["null", "string"], "string", None),
    ("an optional value made required", "string", ["null", "string"], "type"),
    ("a union with a branch more", ["null", "string", "int"], ["null", "string"], None),
    ("a union with a branch less", ["null", "string", "bytes"], ["null", "string", "int"], "union"),
    ("an optional value of another type", ["null", "string"], ["null", "int"], "type"),
    ("two records, one of which fits", [record(name="A"), record(name="B")], record(name="A"), None),
    ("two records, none of which fits", [record(name="A"), record(name="B")], record(name="C"), "union"),
    ("null where it cannot be", ["string", "int"], ["null", "string"], "union"),
    ("a union that promotes", ["null", "long"], ["null", "int"], None),
    ("a union of one", "string", ["string"], None),
    ("branches in another order", ["string", "null"], ["null", "string"], None),
    ("a union whose record lost a field", ["null", record(field("int"))], ["null", record()], "default"),
    ("a reference in a union", ["null", "n.R"], ["null", "n.R"], None),
    ("another reference in a union", ["null", "n.R"], ["null", "n.Q"], "type"),
    ("a logical type dropped", "string", UUID_TEXT, "logical-type"),
    ("a logical type added", UUID_TEXT, "string", "logical-type"),
    ("another unit of time", MILLIS, MICROS, "logical-type"),
    ("another unit of time in an array", array(MILLIS), array(MICROS), "logical-type"),
    ("a field deep inside", record(field(array(record(A)))), record(field(array(record()))), "default"),
]  # fmt: skip


@pytest.mark.parametrize(("reader", "writer", "rule"), [case[1:] for case in RULES], ids=[case[0] for case in RULES])
def test_rule(reader: Any, writer: Any, rule: str | None) -> None:
    assert [problem.rule for problem in problems(reader, writer)] == ([rule] if rule else [])


@pytest.mark.parametrize("reader", PRIMITIVES)
@pytest.mark.parametrize("writer", PRIMITIVES)
def test_promotions_are_those_of_the_specification(reader: str, writer: str) -> None:
    allowed = {
        ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"),
        ("float", "double"), ("string", "bytes"), ("bytes", "string"),
    }  # fmt: skip
    assert (not problems(reader, writer)) == (reader == writer or (writer, reader) in allowed)


def test_a_problem_deep_inside_names_its_path() -> None:
    inner = record(field("int", "lost"), name="S")
    (problem,) = problems(record(field(array(inner), "items")), record(field(array(record(name="S")), "items")))
    assert str(problem) == "R.items[].lost: default: the writer lacks it, and it has no default"


NAMES = st.sampled_from(["a", "b", "c"])
LEAVES = st.sampled_from([*PRIMITIVES, enum("x", "y"), enum("x", "y", "z", default="x"), enum("x"), fixed(2), fixed(3)])


def _union(branches: list[Any]) -> Any:
    distinct = {json.dumps(b["type"] if isinstance(b, dict) else b): b for b in branches}
    return list(distinct.values())


def _record(fields: dict[str, tuple[Any, bool]]) -> Any:
    made = []
    for name, (type, optional) in fields.items():
        # A union directly inside a union is no Avro.
        plain = type == "null" or isinstance(type, list)
        made.append(field(["null", type], name, default=None) if optional and not plain else field(type, name))
    return record(*made)


TYPES = st.recursive(
    LEAVES,
    lambda inner: (
        inner.map(array)
        | inner.map(mapping)
        | st.lists(st.sampled_from(PRIMITIVES), min_size=1, max_size=3).map(_union)
    ),
    max_leaves=3,
)
RECORDS = st.dictionaries(NAMES, st.tuples(LEAVES | TYPES, st.booleans()), max_size=3).map(_record)


def parsed(schema: Any) -> Any:
    try:
        return fastavro.parse_schema(json.loads(json.dumps(schema)))
    except fastavro.schema.SchemaParseException:
        # The same enum drawn twice into one record: no valid schema.
        return None


@given(RECORDS, RECORDS)
@settings(max_examples=400, deadline=None)
def test_what_is_called_readable_can_be_read(reader: Any, writer: Any) -> None:
    read_as, written_as = parsed(reader), parsed(writer)
    assume(read_as is not None and written_as is not None)
    if not problems(reader, writer):
        buffer = BytesIO()
        fastavro.schemaless_writer(buffer, written_as, generate_one(written_as))
        buffer.seek(0)
        try:
            fastavro.schemaless_reader(buffer, written_as, read_as)
        except UnicodeDecodeError:
            # Bytes read as a string are as good as their writer: resolution allows it, whatever the bytes are.
            assert "bytes" in json.dumps(writer)


@given(RECORDS)
def test_a_schema_reads_itself(schema: Any) -> None:
    assert problems(schema, schema) == []


@given(RECORDS, RECORDS)
def test_reading_is_refused_with_one_line_a_problem(reader: Any, writer: Any) -> None:
    for problem in problems(reader, writer):
        assert str(problem).startswith("R")
        assert "\n" not in str(problem)


def test_this_version_is_compatible_with_every_released_one() -> None:
    assert compatibility.check() == []


def test_there_is_a_released_version_to_be_compatible_with() -> None:
    assert any(path.is_dir() for path in compatibility.RELEASED.iterdir())


Edit = Callable[[dict[str, Any]], object]
EDITS: list[tuple[str, Edit, str]] = [
    (
        "CaseEvent",
        lambda s: s["fields"].append({"name": "ward", "type": "string"}),
        "CaseEvent.ward: default: the writer lacks it, and it has no default (reading ",
    ),
    (
        "CaseEvent",
        lambda s: s["fields"].pop(0),
        "CaseEvent.event_id: default: the writer lacks it, and it has no default (read by ",
    ),
    (
        "PatientContext",
        lambda s: s["fields"][0].update(type=["null", "long"]),
        "PatientContext.age: type: long cannot be read as int (read by ",
    ),
    (
        "GradingEvent",
        lambda s: s["fields"][0].update(type="string"),
        "GradingEvent.event_id: logical-type: uuid would be taken for a plain string (reading ",
    ),
    (
        "Text",
        lambda s: s["fields"][1].update(name="spanish"),
        "Text.spanish: default: the writer lacks it, and it has no default (reading ",
    ),
    (
        "ImageReference",
        lambda s: s["fields"][2].update(type="vigia.v1.Size"),
        "ImageReference: invalid: vigia.v1.Size has no .avsc file",
    ),
    (
        "CaseEvent",
        lambda s: next(f for f in s["fields"] if f["name"] == "synthetic").update(default="no"),
        "CaseEvent: invalid: Default value <no> must match schema type: boolean",
    ),
]


@pytest.mark.parametrize(("name", "edit", "line"), EDITS, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(EDITS)])
def test_an_incompatible_edit_fails_with_a_line_that_names_record_field_and_rule(
    tmp_path: Path, name: str, edit: Edit, line: str
) -> None:
    found = compatibility.check(edited(tmp_path, name, edit))
    assert any(each.startswith(line) for each in found), found
    assert not any("\n" in each for each in found)


COMPATIBLE: list[tuple[str, Edit]] = [
    ("CaseEvent", lambda s: s["fields"].append({"name": "ward", "type": ["null", "string"], "default": None})),
    ("CaseEvent", lambda s: s["fields"].pop(-1)),
    ("Severity", lambda s: s["symbols"].append("critical")),
    ("Severity", lambda s: s["symbols"].remove("urgent")),
    ("Reason", lambda s: s.update(doc="Another text.")),
]


@pytest.mark.parametrize(("name", "edit"), COMPATIBLE, ids=[f"{name}-{n}" for n, (name, _) in enumerate(COMPATIBLE)])
def test_a_compatible_edit_passes(tmp_path: Path, name: str, edit: Edit) -> None:
    assert compatibility.check(edited(tmp_path, name, edit)) == []


def test_a_released_type_must_not_disappear(tmp_path: Path) -> None:
    current = edited(tmp_path, "TickEvent", lambda _: None)
    (current / "TickEvent.avsc").unlink()
    (line,) = compatibility.check(current)
    assert line.startswith("TickEvent: type-removed: it was released in ")


def test_every_released_version_counts_and_not_only_the_last(tmp_path: Path) -> None:
    released = tmp_path / "released"
    shutil.copytree(definitions.AVSC, released / "0.1.0")
    shutil.copytree(definitions.AVSC, released / "0.2.0")
    tick = released / "0.1.0" / "TickEvent.avsc"
    schema = json.loads(tick.read_text())
    schema["fields"].append({"name": "old", "type": "int"})
    tick.write_text(json.dumps(schema))
    (line,) = compatibility.check(definitions.AVSC, released)
    assert line == "TickEvent.old: default: the writer lacks it, and it has no default (read by 0.1.0)"


def edited(folder: Path, name: str, edit: Edit) -> Path:
    current = folder / "avsc"
    shutil.copytree(definitions.AVSC, current)
    path = current / f"{name}.avsc"
    schema = json.loads(path.read_text())
    edit(schema)
    path.write_text(json.dumps(schema))
    return current
