"""Orders by hand to lay a record aside: notes on the stage's own state topic, carried out at the next takeover.

So an order reaches whichever worker takes the partition, fences nobody, and is carried out in one transaction with the
offset, the dead letter, the audit entry and the request to people (`streams.runtime.breaker`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from streams.runtime.state import NOTE

#: Begins the names of these notes.
PREFIX = b"skip:"


@dataclass(frozen=True, slots=True)
class SkipOrder:
    """A person wants the record at this place laid aside, for this reason (one line, without patient data)."""

    topic: str
    offset: int
    reason: str

    @property
    def note(self) -> bytes:
        """The name of its note."""
        return PREFIX + f"{self.topic}:{self.offset}".encode()

    @property
    def state_key(self) -> bytes:
        """Key of its record on the state topic."""
        return NOTE + self.note

    def to_json(self) -> bytes:
        """Value of that record."""
        return json.dumps({"topic": self.topic, "offset": self.offset, "reason": self.reason}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> SkipOrder:
        """What `to_json` wrote. Raises ValueError."""
        try:
            value = json.loads(data)
            return cls(str(value["topic"]), int(value["offset"]), str(value["reason"])[:300])
        except (LookupError, TypeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"no order ({type(error).__name__})") from None


def orders(notes: Mapping[bytes, bytes]) -> Iterator[tuple[bytes, SkipOrder | None]]:
    """The orders among a partition's notes, with the note's name; None for one that cannot be read."""
    for name, value in notes.items():
        if name.startswith(PREFIX):
            try:
                yield name, SkipOrder.from_json(value)
            except ValueError:
                yield name, None
