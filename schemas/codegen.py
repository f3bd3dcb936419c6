"""Turns the fields of an event class into three plain functions: check, to Avro, from Avro.

A stage has 200 µs of CPU per event, for decoding, deciding, encoding and the audit entry together. Reflecting over the
fields of every event would eat most of it, so the reflection is done once per class, in the way the standard library's
dataclasses do it: source text, compiled at import.

Values on the Avro side are those of the binary encoding: a UUID is its text, a time is microseconds since 1970,
an enum its symbol. Logical types are converted here and not by fastavro, so that a bad one is an error that names the
field.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

from schemas.errors import InvalidEventError
from schemas.plans import FieldPlan, plan

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Functions:
    """What is generated for a class; `fields` maps each field to its plan, in declaration order."""

    fields: Mapping[str, FieldPlan]
    check: Callable[[Any], None]
    to_avro: Callable[[Any], dict[str, Any]]
    from_avro: Callable[[Mapping[str, Any]], Any]


def generate(record: str, hints: Mapping[str, Any], make: Callable[[], type]) -> Functions:
    """The three functions of the class `make()` (called late: a slotted dataclass is a new class)."""
    fields = {name: plan(hint) for name, hint in hints.items()}
    writer = _Source(record)
    check = writer.compile("check", ["def check(self):", *writer.checks(fields), "    return None"])
    to_avro = writer.compile(
        "to_avro",
        [
            "def to_avro(self):",
            "    return {",
            *(f"        {n!r}: {writer.out(p, f'self.{n}')}," for n, p in fields.items()),
            "    }",
        ],
    )
    writer.names["make"] = make
    from_avro = writer.compile(
        "from_avro",
        [
            "def from_avro(d):",
            "    return make()(",
            *(f"        {n}={writer.into(p, f'd[{n!r}]', n)}," for n, p in fields.items()),
            "    )",
        ],
    )
    return Functions(fields=fields, check=check, to_avro=to_avro, from_avro=from_avro)


class _Source:
    """Writes and compiles the functions of one record; `names` is their global namespace."""

    def __init__(self, record: str) -> None:
        self.record = record
        self.names: dict[str, Any] = {
            "EPOCH": EPOCH,
            "MICROSECOND": MICROSECOND,
            "UTC": UTC,
            "set_field": object.__setattr__,
        }
        self.names["fail"] = self._failure
        self.names["to_utc"] = self._to_utc
        self.names["read_uuid"] = self._read_uuid
        self.names["read_time"] = self._read_time

    def compile(self, name: str, lines: list[str]) -> Callable[..., Any]:
        # The source is built from field names and types of our own classes only, never from data.
        exec(compile("\n".join(lines), f"<{self.record}.{name}>", "exec"), self.names)  # noqa: S102
        function: Callable[..., Any] = self.names.pop(name)
        return function

    def checks(self, fields: Mapping[str, FieldPlan]) -> list[str]:
        lines: list[str] = []
        for name, p in fields.items():
            lines.append(f"    v = self.{name}")
            body = self._check(p, "v", name, 1 if p.optional else 0)
            if p.optional:
                lines.append("    if v is not None:")
            lines += body
        return lines

    def _check(self, p: FieldPlan, value: str, field: str, depth: int) -> list[str]:
        pad = "    " * (depth + 1)
        tests = [(self._wrong_type(p, value), p.must_be)]
        for constraint in p.constraints:
            test, names = constraint.broken(value)
            self.names |= names
            tests.append((test, constraint.problem))
        lines = []
        for test, problem in tests:
            lines += [f"{pad}if {test}:", f"{pad}    fail({field!r}, {problem!r})"]
        if p.kind == "time":
            lines += [
                f"{pad}if {value}.tzinfo is not UTC:",
                f"{pad}    set_field(self, {field!r}, to_utc({value}, {field!r}))",
            ]
        if p.item is not None:
            inner = f"{value}i"
            if p.kind == "map":
                lines += [f"{pad}for {value}k, {inner} in {value}.items():"]
                lines += [
                    f"{pad}    if not isinstance({value}k, str):",
                    f"{pad}        fail({field!r}, 'must have text keys')",
                ]
            else:
                lines += [f"{pad}for {inner} in {value}:"]
            lines += self._check(p.item, inner, field, depth + 1)
        return lines

    def _wrong_type(self, p: FieldPlan, value: str) -> str:
        match p.kind:
            case "boolean":
                return f"{value} is not True and {value} is not False"
            case "long":
                return f"{value}.__class__ is not int"
            case "double":
                subclass = f"{value}.__class__ is bool or not isinstance({value}, (float, int))"
                return f"{value}.__class__ is not float and ({subclass})"
            case "string":
                return f"{value}.__class__ is not str and not isinstance({value}, str)"
            case "array":
                return f"{value}.__class__ is not tuple"
            case "map":
                return f"not isinstance({value}, dict)"
            case "time":
                # A subclass, such as pandas.Timestamp, is a datetime too.
                return f"not isinstance({value}, {self._name(p.python)})"
            case _:
                return f"{value}.__class__ is not {self._name(p.python)}"

    def _name(self, python: Any) -> str:
        name: str = f"T_{python.__name__}"
        self.names[name] = python
        return name

    def out(self, p: FieldPlan, value: str) -> str:
        """Source that turns a Python value into the Avro one."""
        text = self._out(p, value)
        if not p.optional or text == value:
            return text
        if p.kind == "record":
            # The tuple tells fastavro the branch; without it, it would validate the whole record first to find out.
            text = f"({p.python.__avro__.full_name!r}, {text})"
        return f"None if {value} is None else {text}"

    def _out(self, p: FieldPlan, value: str) -> str:
        match p.kind:
            case "uuid":
                return f"str({value})"
            case "time":
                return f"({value} - EPOCH) // MICROSECOND"
            case "enum":
                return f"{value}._value_"
            case "record":
                self.names[f"out_{p.python.__name__}"] = p.python.__avro__.to_avro
                return f"out_{p.python.__name__}({value})"
            case "array":
                assert p.item is not None
                return f"[{self._out(p.item, 'x')} for x in {value}]"
            case _:
                return value

    def into(self, p: FieldPlan, value: str, field: str) -> str:
        """Source that turns an Avro value into the Python one."""
        text = self._into(p, value, field)
        return f"None if {value} is None else {text}" if p.optional and text != value else text

    def _into(self, p: FieldPlan, value: str, field: str) -> str:
        match p.kind:
            case "uuid":
                return f"read_uuid({value}, {field!r})"
            case "time":
                return f"read_time({value}, {field!r})"
            case "enum":
                self.names[f"in_{p.python.__name__}"] = {member.value: member for member in p.python}
                return f"in_{p.python.__name__}[{value}]"
            case "record":
                self.names[f"in_{p.python.__name__}"] = p.python.__avro__.from_avro
                return f"in_{p.python.__name__}({value})"
            case "array":
                assert p.item is not None
                inner = self._into(p.item, "x", field)
                return f"tuple({value})" if inner == "x" else f"tuple([{inner} for x in {value}])"
            case _:
                return value

    def _failure(self, field: str, problem: str) -> NoReturn:
        raise InvalidEventError(field, problem, self.record)

    def _to_utc(self, value: datetime, field: str) -> datetime:
        if value.utcoffset() is None:
            self._failure(field, "must have a time zone")
        return value.astimezone(UTC)

    def _read_uuid(self, text: str, field: str) -> uuid.UUID:
        try:
            return uuid.UUID(text)
        except ValueError:
            self._failure(field, "must be a UUID")

    def _read_time(self, micros: int, field: str) -> datetime:
        try:
            return EPOCH + timedelta(microseconds=micros)
        except OverflowError:
            self._failure(field, "must be a time within the years 1 to 9999")
