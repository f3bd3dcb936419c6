"""FULL_TRANSITIVE compatibility, checked offline: this version reads, and is read by, every released one.

The rules are those of Avro's schema resolution (specification 1.12, "Schema Resolution") in both directions, and one of
our own: a logical type must not change, since Avro would let microseconds be read as milliseconds. The registry
enforces the former too; here they fail in the test run, before anything is released, with a line that names the record
and the field.

Types have a file each and refer to each other by name, so each is compared once, and a mistake is reported once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import fastavro

from schemas.definitions import AVSC, Schema, inline, load

RELEASED = Path(__file__).parent / "released"

#: Writer's type → reader's types it is promoted to (specification, "Schema Resolution").
PROMOTIONS: Mapping[str, frozenset[str]] = {
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Why a reader cannot read what a writer wrote. `field` is empty when the type as a whole is meant."""

    type: str
    field: str
    rule: str
    text: str

    def __str__(self) -> str:
        where = f"{self.type}.{self.field}" if self.field else self.type
        return f"{where}: {self.rule}: {self.text}"


def check(current: Path = AVSC, released: Path = RELEASED) -> list[str]:
    """One line for each way in which `current` is not compatible with a released version; empty when all is well."""
    definitions = load(current)
    lines = [f"{name.rpartition('.')[2]}: {problem}" for name, problem in _invalid(definitions)]
    for folder in sorted(path for path in released.iterdir() if path.is_dir()) if released.is_dir() else ():
        old = load(folder)
        lines += [
            f"{name.rpartition('.')[2]}: type-removed: it was released in {folder.name} and is gone"
            for name in sorted(set(old) - set(definitions))
        ]
        for name in sorted(set(old) & set(definitions)):
            lines += [f"{p} (reading {folder.name})" for p in problems(definitions[name], old[name])]
            lines += [f"{p} (read by {folder.name})" for p in problems(old[name], definitions[name])]
    return lines


def problems(reader: Schema, writer: Schema) -> list[Conflict]:
    """Why `reader` cannot read all that `writer` may write; both are definitions as in the files."""
    name = reader["name"] if isinstance(reader, dict) and "name" in reader else str(reader)
    return list(_resolve(reader, writer, name, ""))


def _resolve(reader: Schema, writer: Schema, type: str, field: str) -> Iterator[Conflict]:
    if isinstance(writer, list):
        for branch in writer:
            yield from _resolve(reader, branch, type, field)
        return
    if isinstance(reader, list):
        yield from _into_union(reader, writer, type, field)
        return
    kind, written = _kind(reader), _kind(writer)
    if kind != written:
        if kind not in PROMOTIONS.get(written, ()):
            yield Conflict(type=type, field=field, rule="type", text=f"{written} cannot be read as {kind}")
        return
    if _logical(reader) != _logical(writer):
        text = f"{_logical(writer) or 'no logical type'} would be taken for {_logical(reader) or 'a plain ' + kind}"
        yield Conflict(type=type, field=field, rule="logical-type", text=text)
    match kind:
        case "array":
            yield from _resolve(reader["items"], writer["items"], type, f"{field}[]")
        case "map":
            yield from _resolve(reader["values"], writer["values"], type, f"{field}{{}}")
        case "record" | "enum" | "fixed":
            yield from _named(reader, writer, type, field)


def _into_union(reader: list[Schema], writer: Schema, type: str, field: str) -> Iterator[Conflict]:
    attempts = [list(_resolve(branch, writer, type, field)) for branch in reader]
    if not all(attempts):
        return
    # What is wrong is known best by the branch of the same kind, or the only one of an optional value.
    kinds = [_kind(branch) for branch in reader]
    closest = [n for n, kind in enumerate(kinds) if kind == _kind(writer)] or [
        n for n, kind in enumerate(kinds) if kind != "null"
    ]
    if len(closest) == 1 and _kind(writer) != "null":
        yield from attempts[closest[0]]
    else:
        yield Conflict(type=type, field=field, rule="union", text=f"no branch of the union takes {_kind(writer)}")


def _named(reader: Schema, writer: Schema, type: str, field: str) -> Iterator[Conflict]:
    names = {_full_name(reader), *(_qualified(alias, reader) for alias in reader.get("aliases", ()))}
    if _full_name(writer) not in names:
        yield Conflict(type=type, field=field, rule="name", text=f"{_full_name(writer)} is not {_full_name(reader)}")
    elif reader["type"] == "enum":
        strange = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if strange and reader.get("default") not in reader["symbols"]:
            text = f"{', '.join(strange)} is unknown, and there is no default symbol"
            yield Conflict(type=type, field=field, rule="enum-symbol", text=text)
    elif reader["type"] == "fixed":
        if reader["size"] != writer["size"]:
            text = f"{writer['size']} bytes cannot be read as {reader['size']}"
            yield Conflict(type=type, field=field, rule="fixed-size", text=text)
    else:
        yield from _fields(reader, writer, type, field)


def _fields(reader: Schema, writer: Schema, type: str, field: str) -> Iterator[Conflict]:
    written = {f["name"]: f for f in writer["fields"]}
    for wanted in reader["fields"]:
        path = f"{field}.{wanted['name']}".lstrip(".")
        source = next((written[n] for n in (wanted["name"], *wanted.get("aliases", ())) if n in written), None)
        if source is not None:
            yield from _resolve(wanted["type"], source["type"], type, path)
        elif "default" not in wanted:
            yield Conflict(type=type, field=path, rule="default", text="the writer lacks it, and it has no default")


def _kind(schema: Schema) -> str:
    """The type's name; a type that has a file of its own is known by its full name only."""
    kind = schema["type"] if isinstance(schema, dict) else schema
    return kind if isinstance(kind, str) else _kind(kind)


def _logical(schema: Schema) -> str | None:
    return schema.get("logicalType") if isinstance(schema, dict) else None


def _full_name(schema: Schema) -> str:
    return _qualified(schema["name"], schema)


def _qualified(name: str, schema: Schema) -> str:
    return name if "." in name or "namespace" not in schema else f"{schema['namespace']}.{name}"


def _invalid(definitions: Mapping[str, Schema]) -> Iterator[tuple[str, str]]:
    for name in definitions:
        try:
            fastavro.parse_schema(inline(name, definitions))
        except (fastavro.schema.SchemaParseException, fastavro.schema.UnknownType, ValueError) as error:
            yield name, f"invalid: {error}"
