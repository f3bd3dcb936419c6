"""The decorator that makes a class an event of the contract: immutable, checked when made, quick to write and read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, dataclass_transform, get_type_hints

from schemas.codegen import Functions, generate
from schemas.plans import FieldPlan

NAMESPACE = "vigia.v1"

#: Avro full name → class, of every record, nested ones too.
RECORDS: dict[str, type[Record]] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class AvroBinding:
    """What a record class carries as `__avro__`."""

    full_name: str
    fields: Mapping[str, FieldPlan]
    to_avro: Callable[[Any], dict[str, Any]]
    from_avro: Callable[[Mapping[str, Any]], Any]


class Record:
    """Base of all records: an immutable value that knows its Avro record."""

    __slots__ = ()
    __avro__: ClassVar[AvroBinding]

    def _check_together(self) -> None:
        """Rules that span fields; a record overrides it where it has such rules. Raises InvalidEventError."""


_R = TypeVar("_R", bound=Record)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def record(cls: type[_R]) -> type[_R]:
    """Make `cls` a frozen, slotted, keyword-only dataclass bound to the Avro record of the same name.

    Types, and the constraints written beside them, are checked on construction, and so on decoding: InvalidEventError.
    Times with an offset become UTC; a time without one is refused.
    """
    hints = get_type_hints(cls, include_extras=True)
    own = {name: hint for name, hint in hints.items() if name in cls.__annotations__}
    made: list[type[_R]] = []
    functions: Functions = generate(cls.__name__, own, lambda: made[0])
    if cls._check_together is Record._check_together:
        post_init = functions.check
    else:
        check = functions.check

        def post_init(self: Any) -> None:
            check(self)
            self._check_together()

    cls.__post_init__ = post_init  # type: ignore[attr-defined]
    cls = dataclass(frozen=True, slots=True, kw_only=True)(cls)
    full_name = f"{NAMESPACE}.{cls.__name__}"
    cls.__avro__ = AvroBinding(
        full_name=full_name, fields=functions.fields, to_avro=functions.to_avro, from_avro=functions.from_avro
    )
    made.append(cls)
    RECORDS[full_name] = cls
    return cls
