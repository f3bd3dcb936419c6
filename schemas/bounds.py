"""How much work a record may cost whoever decodes it, held against the schema that it was written with.

fastavro decodes in C and holds the interpreter while it does: a time limit in Python cannot end it. An array of nulls
takes no bytes, so a record of 15 bytes may announce 2⁶¹ of them, and a process that reads it stands still for good. A
schema is refused, before any record is decoded with it, unless every step of the decoding is paid for with bytes of the
record. After that the length of a value bounds the work on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import UndecodableError

#: Bytes of a record value. Ours have a few thousand; a broker lets 1 MB through, and 500 MB that compress well.
MOST_BYTES = 262_144
#: Characters of a schema as the registry gives it; our longest has 9,000.
MOST_SCHEMA_CHARACTERS = 65_536
#: Types within types, arrays, maps and unions counted. Our deepest have 6 levels.
MOST_LEVELS = 16
#: Values that a record consists of when each array and map has one item. Our largest has 130; types used several
#: times count as often, since 60 types of two fields each can stand for 2⁶⁰ values.
MOST_VALUES = 2_000
#: Values per byte in an item of an array or map: nulls and empty records take none. Ours stay below 4.
MOST_VALUES_PER_BYTE = 8

_FIXED_SIZES: Mapping[str, int] = {"null": 0, "float": 4, "double": 8}
_PRIMITIVE = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


@dataclass(frozen=True, slots=True)
class Cost:
    """What one value of a type costs: the fewest bytes that it takes, values with one item each, and levels."""

    least_bytes: int
    values: int
    levels: int


def check_value(value: bytes) -> None:
    """Raise UndecodableError for a value that is too long to decode."""
    if len(value) > MOST_BYTES:
        raise UndecodableError(f"the value has {len(value)} bytes; at most {MOST_BYTES} are decoded")


def check_schema(schema: Any) -> Cost:
    """The cost of a record of this schema (as fastavro parsed it). Raises UndecodableError where it has no bound."""
    cost = _Walk().cost(schema)
    if cost.values > MOST_VALUES:
        raise UndecodableError(f"a record would hold {cost.values} values; at most {MOST_VALUES} are decoded")
    return cost


class _Walk:
    """One walk over a schema. A type that is used again costs as it did the first time."""

    def __init__(self) -> None:
        #: None while the type is being looked at.
        self._named: dict[str, Cost | None] = {}

    def cost(self, node: Any, level: int = 1) -> Cost:
        if level > MOST_LEVELS:
            raise UndecodableError(f"the schema has more than {MOST_LEVELS} levels")
        if isinstance(node, list):
            return self._union([self.cost(branch, level + 1) for branch in node])
        if isinstance(node, str):
            return self._reference(node)
        kind = node["type"]
        if kind in ("array", "map"):
            return self._repeated(kind, self.cost(node["items" if kind == "array" else "values"], level + 1))
        if kind in ("record", "error", "enum", "fixed"):
            return self._define(node, kind, level)
        return self.cost(kind, level)

    def _reference(self, name: str) -> Cost:
        if name in _PRIMITIVE:
            return Cost(_FIXED_SIZES.get(name, 1), 1, 1)
        known = self._named.get(name)
        if known is None:
            raise UndecodableError("a type of the schema contains itself or is not defined")
        return known

    def _define(self, node: Any, kind: str, level: int) -> Cost:
        self._named[node["name"]] = None
        if kind == "enum":
            cost = Cost(1, 1, 1)
        elif kind == "fixed":
            size = node["size"]
            if not isinstance(size, int) or not 0 < size <= MOST_BYTES:
                raise UndecodableError("the schema has a fixed type of no sensible size")
            cost = Cost(size, 1, 1)
        else:
            parts = [self.cost(field["type"], level + 1) for field in node["fields"]]
            cost = _sum(parts)
        self._named[node["name"]] = cost
        return cost

    def _repeated(self, kind: str, item: Cost) -> Cost:
        # Each entry of a map has a key, which takes a byte even when it is empty.
        least = item.least_bytes + (kind == "map")
        if least == 0:
            raise UndecodableError("the schema has an array of what takes no bytes, which has no bound")
        if item.values > MOST_VALUES_PER_BYTE * least:
            raise UndecodableError(f"the schema has an {kind} of {item.values} values in {least} bytes per item")
        return Cost(1, 1 + item.values, 1 + item.levels)

    def _union(self, branches: list[Cost]) -> Cost:
        least = min((branch.least_bytes for branch in branches), default=0)
        # Which branch follows takes a byte.
        most = max((branch.values for branch in branches), default=0)
        return Cost(1 + least, 1 + most, 1 + max((branch.levels for branch in branches), default=0))


def _sum(parts: list[Cost]) -> Cost:
    levels = 1 + max((part.levels for part in parts), default=0)
    if levels > MOST_LEVELS:
        # Through references too, which the walk does not follow again.
        raise UndecodableError(f"the schema has more than {MOST_LEVELS} levels")
    return Cost(sum(part.least_bytes for part in parts), 1 + sum(part.values for part in parts), levels)
