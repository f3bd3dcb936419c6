"""Whatever schema a record names and whatever its bytes say: bounded work, and nothing but the documented errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import acceptance, binary, bounds, definitions, events
from schemas.errors import ContractError, UndecodableError
from schemas.record import RECORDS
from tests.unit.schemas import samples

ROOT = Path(__file__).parents[3]
#: What the bytes of a bomb are decoded in: an interpreter that may be ended, since fastavro holds it while it loops.
BOMB = """
import sys
import schemas.events
from schemas import binary
from schemas.errors import UndecodableError
schema, value = sys.stdin.read().split("\\n")
try:
    binary.reader(schema)(bytes.fromhex(value), 0)
except UndecodableError as error:
    print("undecodable", error)
"""
CASE = "vigia.v1.CaseEvent"


def own() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(definitions.text(CASE))
    return schema


def with_first(type: Any, default: Any) -> str:
    """The schema of case events with one more field, at the front."""
    schema = own()
    schema["fields"].insert(0, {"name": "x", "type": type, "default": default})
    return json.dumps(schema)


def zigzag(number: int) -> bytes:
    rest, found = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*found, rest])


def doubling(levels: int) -> Any:
    """A record that stands for 2^levels nulls and takes no byte."""
    node: Any = {"type": "record", "name": "L0", "fields": [{"name": "a", "type": "null"}]}
    for level in range(1, levels + 1):
        fields = [{"name": "a", "type": node}, {"name": "b", "type": f"L{level - 1}"}]
        node = {"type": "record", "name": f"L{level}", "fields": fields}
    return node


def nested(levels: int) -> Any:
    node: Any = "int"
    for _ in range(levels):
        node = {"type": "array", "items": node}
    return node


EMPTY = {"type": "record", "name": "Empty", "fields": []}
MANY_NULLS = {
    "type": "record",
    "name": "Nulls",
    "fields": [{"name": f"n{n}", "type": "null"} for n in range(200)] + [{"name": "i", "type": "int"}],
}
HUGE = zigzag(2**61) + b"\0"


@pytest.mark.parametrize(
    ("type", "default", "value"),
    [
        ({"type": "array", "items": "null"}, [], HUGE),
        ({"type": "array", "items": EMPTY}, [], HUGE),
        ({"type": "array", "items": doubling(3)}, [], HUGE),
        (["null", doubling(24)], None, zigzag(1)),
    ],
    ids=["nulls", "empty records", "records of nulls", "types that double"],
)
def test_a_short_record_that_announces_endless_work_is_answered_at_once(type: Any, default: Any, value: bytes) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOMB],
        input=f"{with_first(type, default)}\n{value.hex()}",
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "no bound" in done.stdout or "more than 16 levels" in done.stdout, done


@pytest.mark.parametrize(
    ("type", "default", "why"),
    [
        ({"type": "array", "items": "null"}, [], "an array of what takes no bytes"),
        ({"type": "array", "items": MANY_NULLS}, [], "202 values in 1 bytes per item"),
        ({"type": "map", "values": MANY_NULLS}, {}, "202 values in 2 bytes per item"),
        (nested(20), [], "more than 16 levels"),
        ({"type": "fixed", "name": "F", "size": 2**31}, "", "no sensible size"),
        ({"type": "fixed", "name": "F", "size": 0}, "", "no sensible size"),
        (["null", doubling(12)], None, "values; at most 2000 are decoded"),
    ],
)
def test_a_schema_whose_records_may_cost_more_than_their_bytes_is_refused(type: Any, default: Any, why: str) -> None:
    with pytest.raises(UndecodableError, match=why):
        acceptance.accept(with_first(type, default))


def test_a_schema_that_contains_itself_is_refused() -> None:
    chain = {
        "type": "record",
        "name": "Chain",
        "fields": [{"name": "next", "type": ["null", "Chain"], "default": None}],
    }
    with pytest.raises(UndecodableError, match="contains itself"):
        acceptance.accept(with_first(["null", chain], None))


def test_a_schema_or_a_value_that_is_too_long_is_refused() -> None:
    schema = own()
    schema["doc"] = "x" * bounds.MOST_SCHEMA_CHARACTERS
    with pytest.raises(UndecodableError, match="at most 65536 are read"):
        acceptance.accept(json.dumps(schema))
    with pytest.raises(UndecodableError, match="at most 262144 are decoded"):
        binary.reader(definitions.text(CASE))(bytes(bounds.MOST_BYTES + 1), 0)


@pytest.mark.parametrize("depth", [500, 100_000])
def test_a_schema_nested_beyond_reason_is_refused_and_crashes_nothing(depth: int) -> None:
    for text in ('{"type":"array","items":' * depth, "[" * depth + "]" * depth):
        with pytest.raises(UndecodableError):
            acceptance.accept(text)


@pytest.mark.parametrize("name", RECORDS)
def test_every_schema_that_we_carry_is_within_the_bounds_and_accepted(name: str) -> None:
    for text in acceptance.carried(name).values():
        assert acceptance.accept(text).carried
        bounds.check_schema(acceptance.parse(text)[0])


def test_ids_of_carried_schemas_are_no_registrys_and_all_different() -> None:
    ids = acceptance.carried_ids()
    assert min(ids) >= acceptance.CARRIED_FROM
    assert len(ids) == len({text for name in RECORDS for text in acceptance.carried(name).values()})
    assert json.loads(ids[acceptance.carried_id(CASE)])["name"] == "CaseEvent"


def test_a_schema_that_only_calls_itself_ours_is_refused() -> None:
    parcel = {"type": "record", "name": "CaseEvent", "namespace": "vigia.v1", "fields": []}
    with pytest.raises(UndecodableError, match="not compatible with ours: default"):
        acceptance.accept(json.dumps(parcel))
    schema = own()
    schema["fields"].append({"name": "ward", "type": "string"})
    with pytest.raises(UndecodableError, match="not compatible"):
        acceptance.accept(json.dumps(schema))


def test_a_foreign_name_is_not_shown_unless_it_is_a_plain_one() -> None:
    text = json.dumps({"type": "record", "name": "x\x1b]52;c;AA\x07", "fields": []})
    with pytest.raises(UndecodableError) as caught:
        acceptance.accept(text)
    assert str(caught.value).isprintable()


# Arbitrary writers' schemas: our own with fields added, of types drawn at random, most of which are refused.
_names = iter(range(10**9))


def _named(kind: str, **rest: Any) -> dict[str, Any]:
    return {"type": kind, "name": f"T{next(_names)}", **rest}


PRIMITIVES = st.sampled_from(["null", "boolean", "int", "long", "float", "double", "bytes", "string"])
TYPES = st.recursive(
    PRIMITIVES
    | st.integers(-1, 40).map(lambda size: _named("fixed", size=size))
    | st.integers(1, 4).map(lambda n: _named("enum", symbols=[f"S{i}" for i in range(n)])),
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "map", "values": values})
        | st.lists(inner, max_size=5).map(
            lambda types: _named("record", fields=[{"name": f"f{n}", "type": t} for n, t in enumerate(types)])
        )
        | inner.map(lambda other: ["null", other] if other != "null" else ["null", "int"])
    ),
    max_leaves=12,
)


def values_in(schema: Any, data: bytes) -> int:
    """How many values a decoder makes of these bytes, as far as they go: the specification, without any library."""
    named: dict[str, Any] = {}
    at = 0

    def long() -> int:
        nonlocal at
        found = shift = 0
        while True:
            byte = data[at]
            at += 1
            found |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (found >> 1) ^ -(found & 1)

    def take(count: int) -> None:
        nonlocal at
        if not 0 <= count <= len(data) - at:
            raise IndexError
        at += count

    def value(node: Any) -> Iterator[None]:
        yield None
        if isinstance(node, list):
            index = long()
            if not 0 <= index < len(node):
                raise IndexError
            yield from value(node[index])
        elif isinstance(node, Mapping) and not isinstance(node["type"], str):
            yield from value(node["type"])
        else:
            kind = node if isinstance(node, str) else node["type"]
            if isinstance(node, Mapping) and "name" in node:
                named[node["name"]] = node
            if kind in named:
                node = named[kind]
                kind = node["type"]
            if kind == "record":
                for field in node["fields"]:
                    yield from value(field["type"])
            elif kind in ("array", "map"):
                while (count := long()) != 0:
                    if count < 0:
                        count = -count
                        long()
                    for _ in range(count):
                        if kind == "map":
                            take(long())
                        yield from value(node["items" if kind == "array" else "values"])
            elif kind in ("bytes", "string"):
                take(long())
            elif kind in ("int", "long", "enum"):
                long()
            else:
                take(
                    {"null": 0, "boolean": 1, "float": 4, "double": 8}.get(kind, node["size"] if kind == "fixed" else 0)
                )

    made = 0
    try:
        for _ in value(schema):
            made += 1
            if made > 1_000_000:
                return made
    except IndexError:
        pass
    return made


def varied(data: st.DataObject) -> bytes:
    """Bytes of a case event with some changed, or any bytes; the announced sizes are often huge."""
    value = bytearray(data.draw(st.sampled_from([binary.write(samples.CASE_EVENT), b""])))
    for at in data.draw(st.lists(st.integers(0, max(0, len(value) - 1)), max_size=6)):
        value[at : at + 1] = data.draw(st.binary(max_size=4) | st.integers(0, 2**62).map(zigzag))
    return bytes(value) + data.draw(st.binary(max_size=40))


@pytest.mark.no_cover
@settings(max_examples=200, deadline=None)
@given(types=st.lists(TYPES, min_size=1, max_size=3), at=st.integers(0, 14), data=st.data())
def test_any_schema_is_refused_or_decoded_with_bounded_work(types: list[Any], at: int, data: st.DataObject) -> None:
    schema = own()
    for number, type in enumerate(types):
        # A union whose first branch is null may have the default null, so that the field may be added at all.
        optional = ["null", type] if type != "null" else type
        schema["fields"].insert(at, {"name": f"x{number}", "type": optional, "default": None})
    try:
        writer = acceptance.accept(json.dumps(schema))
    except UndecodableError:
        return
    value = varied(data)
    most = bounds.MOST_VALUES + bounds.MOST_VALUES_PER_BYTE * len(value)
    assert values_in(writer.written, value) <= most
    with_errors(writer, value)


@pytest.mark.no_cover
@settings(max_examples=200, deadline=None)
@given(type=TYPES, data=st.binary(max_size=60))
def test_the_bound_holds_for_every_type_that_passes(type: Any, data: bytes) -> None:
    try:
        parsed = fastavro.parse_schema(_named("record", fields=[{"name": "x", "type": type}]))
        bounds.check_schema(parsed)
    except (UndecodableError, fastavro.schema.SchemaParseException):
        return
    assert values_in(parsed, data) <= bounds.MOST_VALUES + bounds.MOST_VALUES_PER_BYTE * len(data)


def with_errors(writer: acceptance.Writer, value: bytes) -> None:
    with suppress(ContractError):
        binary.reader_of(writer)(value, 0)


@pytest.mark.no_cover
@settings(max_examples=200, deadline=None)
@given(
    text=st.text(max_size=80)
    | st.recursive(
        st.none() | st.text(max_size=8),
        lambda t: (
            st.lists(t)
            | st.dictionaries(st.sampled_from(["type", "name", "fields", "items", "symbols", "size", "namespace"]), t)
        ),
    ).map(json.dumps)
)
def test_whatever_a_registry_calls_a_schema_nothing_but_undecodable_comes_of_it(text: str) -> None:
    with pytest.raises(UndecodableError):
        acceptance.accept(text)


@pytest.mark.no_cover
@settings(max_examples=200, deadline=None)
@given(
    data=st.data(),
    name=st.sampled_from(
        sorted(
            each.__avro__.full_name
            for each in (
                events.CaseEvent,
                events.GradingEvent,
                events.InferenceEvent,
                events.AuditEntry,
                events.EscalationEvent,
            )
        )
    ),
)
def test_mutated_avro_of_every_event_brings_nothing_but_the_documented_errors(data: st.DataObject, name: str) -> None:
    with_errors(acceptance.accept(definitions.text(name)), varied(data))
