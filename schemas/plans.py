"""What a field's type hint means: its kind of value, whether it may be absent, and its constraints."""

from __future__ import annotations

import enum
import types
import typing
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from schemas.constraints import Constraint

_SCALARS: Mapping[Any, str] = {
    bool: "boolean",
    int: "long",
    float: "double",
    str: "string",
    uuid.UUID: "uuid",
    datetime: "time",
}
_WORDS: Mapping[str, str] = {
    "boolean": "true or false",
    "long": "a whole number",
    "double": "a number",
    "string": "text",
    "uuid": "a UUID",
    "time": "a datetime",
    "array": "a tuple",
    "map": "a dict",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldPlan:
    """How one value is checked and converted. `kind` is the Avro type, or `uuid` and `time` for the logical ones."""

    kind: str
    python: Any
    optional: bool = False
    constraints: tuple[Constraint, ...] = ()
    item: FieldPlan | None = None

    @property
    def must_be(self) -> str:
        """What a value of another type must be, as the end of the sentence "<field> …"."""
        return f"must be {_WORDS.get(self.kind) or self.python.__name__}"


def plan(hint: Any) -> FieldPlan:
    """The plan of a type hint; raises TypeError for a type that an event must not have."""
    constraints: list[Constraint] = []
    optional = False
    while typing.get_origin(hint) is typing.Annotated:
        hint, *metadata = typing.get_args(hint)
        constraints += metadata
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        (hint,) = (arm for arm in typing.get_args(hint) if arm is not type(None))
        optional = True
        while typing.get_origin(hint) is typing.Annotated:
            hint, *metadata = typing.get_args(hint)
            constraints += metadata
    kind, item = _kind(hint)
    return FieldPlan(kind=kind, python=hint, optional=optional, constraints=tuple(constraints), item=item)


def _kind(hint: Any) -> tuple[str, FieldPlan | None]:
    if hint in _SCALARS:
        return _SCALARS[hint], None
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and len(arguments) == 2 and arguments[1] is ...:
        return "array", plan(arguments[0])
    if origin is Mapping and arguments[0] is str:
        return "map", plan(arguments[1])
    if isinstance(hint, type) and issubclass(hint, enum.StrEnum):
        return "enum", None
    if hasattr(hint, "__avro__"):
        return "record", None
    raise TypeError(f"{hint!r} has no place in an event")
