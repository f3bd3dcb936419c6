"""Reads a plain mapping strictly: every key is asked for, and what nobody asked for is a typo.

A `Section` knows its path (`rules[diabetes].then.escalate[0]`), so that every error names the place in the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

from streams.clinical.policy.values import PolicyError

_E = TypeVar("_E", bound=StrEnum)
_DURATION = re.compile(r"([1-9][0-9]{0,6}) (s|min|h|d)")
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
_LONGEST_TEXT = 2000


def fail(path: str, problem: str) -> NoReturn:
    """Raise the PolicyError of one line."""
    raise PolicyError(f"{path}: {problem}")


class Section:
    """A mapping of the policy file; keys are taken once, and `done()` refuses what is left over."""

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, Mapping):
            fail(path, "must be a mapping")
        for key in value:
            if not isinstance(key, str):
                fail(path, f"key {key!r} must be text")
        self.path = path
        self._left: dict[str, Any] = dict(value)
        self._known: list[str] = []

    def at(self, key: str) -> str:
        """The path of a key."""
        return f"{self.path}.{key}" if self.path else key

    def has(self, key: str) -> bool:
        """Whether an optional key is there."""
        self._known.append(key)
        return key in self._left

    def take(self, key: str) -> Any:
        """The value of a required key."""
        self._known.append(key)
        if key not in self._left:
            fail(self.at(key), "is missing")
        return self._left.pop(key)

    def done(self) -> None:
        """Raise PolicyError if a key was not asked for."""
        for key in self._left:
            fail(self.at(key), f"is not known here (known: {', '.join(sorted(set(self._known)))})")

    @property
    def empty(self) -> bool:
        """Whether nothing is left to take."""
        return not self._left

    def names(self) -> tuple[str, ...]:
        """What is left to take, in the order of the file; at least one key, or PolicyError."""
        if self.empty:
            fail(self.path, "must not be empty")
        return tuple(self._left)

    def section(self, key: str) -> Section:
        """A required mapping."""
        return Section(self.take(key), self.at(key))

    def sections(self, key: str) -> Iterator[tuple[str, Section]]:
        """The entries of a required, non-empty mapping of mappings, in order."""
        outer = self.section(key)
        for name in outer.names():
            yield name, outer.section(name)

    def items(self, key: str) -> Iterator[Section]:
        """The entries of a required, non-empty list of mappings, named by `id` where they have one."""
        for index, value in enumerate(self.list(key)):
            name = value["id"] if isinstance(value, Mapping) and isinstance(value.get("id"), str) else index
            yield Section(value, f"{self.at(key)}[{name}]")

    def list(self, key: str) -> list[Any]:
        """A required, non-empty list."""
        value = self.take(key)
        if not isinstance(value, list) or not value:
            fail(self.at(key), "must be a list that is not empty")
        return value

    def text(self, key: str) -> str:
        """A required text that is not empty."""
        return _text(self.take(key), self.at(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A required list of different texts."""
        values = tuple(_text(value, f"{self.at(key)}[{i}]") for i, value in enumerate(self.list(key)))
        if len(set(values)) != len(values):
            fail(self.at(key), "names something twice")
        return values

    def translation(self, key: str) -> str:
        """`es` or `en`: a sentence a clinician reads."""
        if not self.has(key):
            fail(self.at(key), "translation is missing")
        return self.text(key)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """A required text out of `choices`."""
        value = self.text(key)
        if value not in choices:
            fail(self.at(key), f"{value!r} is unknown (known: {', '.join(choices)})")
        return value

    def code(self, key: str, codes: type[_E]) -> _E:
        """A required symbol of an enum; `unknown` is none."""
        return known_code(self.take(key), self.at(key), codes)

    def codes(self, key: str, codes: type[_E]) -> tuple[_E, ...]:
        """A required list of different symbols of an enum."""
        return tuple(known_code(text, self.at(key), codes) for text in self.texts(key))

    def flag(self, key: str) -> bool:
        """An optional yes/no, no by default."""
        if not self.has(key):
            return False
        value = self.take(key)
        if not isinstance(value, bool):
            fail(self.at(key), "must be true or false")
        return value

    def number(self, key: str) -> float:
        """A required finite number."""
        value = self.take(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            fail(self.at(key), "must be a number")
        return float(value)

    def probability(self, key: str) -> float:
        """A required number in (0, 1]."""
        value = self.number(key)
        if not 0 < value <= 1:
            fail(self.at(key), "must be more than 0 and at most 1")
        return value

    def seconds(self, key: str) -> int:
        """A required duration such as "15 min", in seconds."""
        match = _DURATION.fullmatch(self.text(key))
        if match is None:
            fail(self.at(key), 'must be a duration such as "30 s", "15 min", "2 h" or "3 d"')
        return int(match[1]) * _SECONDS[match[2]]


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value.strip():
        fail(path, "must be a text that is not empty")
    if len(value) > _LONGEST_TEXT:
        fail(path, f"is longer than {_LONGEST_TEXT} characters")
    return value.strip()


def known_code(value: object, path: str, codes: type[_E]) -> _E:
    """The enum member that a text names, but `unknown`; raises PolicyError naming `path`."""
    known = [code.value for code in codes if code.value != "unknown"]
    if value not in known:
        fail(path, f"{value!r} is unknown (known: {', '.join(known)})")
    return codes(value)
