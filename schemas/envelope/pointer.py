"""A pointer in place of a record: a dead letter whose original is too large for one, or could not be read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from schemas.envelope.raw import RawRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Pointer:
    """Where a record lies and what is known of its value.

    `size` (bytes) and `sha256` (hex) are None where nobody could read it; `stored` is the address of the value's bytes
    in the record store, None where they are in the topic only.
    """

    topic: str
    partition: int
    offset: int
    size: int | None = None
    sha256: str | None = None
    stored: str | None = None

    @classmethod
    def to(cls, raw: RawRecord, stored: str | None = None) -> Pointer:
        """The pointer to a record."""
        return cls(
            topic=raw.topic,
            partition=raw.partition,
            offset=raw.offset,
            size=raw.value_size,
            sha256=raw.value_hash,
            stored=stored,
        )

    def to_bytes(self) -> bytes:
        """As the value of a dead letter: JSON, a few hundred bytes."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, value: bytes | None) -> Pointer | None:
        """The pointer in a dead letter's value; None for anything else."""
        try:
            found: Any = json.loads(value or b"")
            pointer = cls(**found)
        except (ValueError, TypeError, RecursionError):
            return None
        texts = (pointer.topic, pointer.sha256 or "", pointer.stored or "")
        numbers = (pointer.partition, pointer.offset, pointer.size or 0)
        sound = all(isinstance(text, str) for text in texts) and all(type(number) is int for number in numbers)
        return pointer if sound and min(numbers) >= 0 else None
