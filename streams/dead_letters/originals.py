"""The original record of a dead letter, also where the letter holds a pointer to it only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol
from uuid import UUID

from schemas.envelope.pointer import Pointer
from schemas.envelope.raw import RawRecord
from schemas.errors import OneLineError
from streams.broker.headers import headers_of
from streams.broker.read import Span
from streams.dead_letters.read import DeadLetter, DeadLetters


class OriginalGoneError(OneLineError, LookupError):
    """Neither the store nor the topic has the original record any more."""


class Store(Protocol):
    """What is needed of `streams.images.records.RecordStore`."""

    def get(self, address: str, size: int, sha256: str) -> bytes:
        """The bytes of that hash; raises where they cannot be had."""


def kept_of(letters: Iterable[DeadLetter], case_id: UUID) -> tuple[list[Pointer], int]:
    """What the record store keeps of this case and of no other, by hash; and how many it keeps of others too.

    The same bytes are kept once, whoever published them.
    """
    own: dict[str, Pointer] = {}
    others: set[str] = set()
    for letter in letters:
        pointer = letter.pointer
        if pointer is not None and pointer.stored and pointer.sha256:
            if letter.case_id == case_id:
                own[pointer.sha256] = pointer
            else:
                others.add(pointer.sha256)
    return [pointer for sha256, pointer in sorted(own.items()) if sha256 not in others], len(own.keys() & others)


class Originals:
    """Finds originals, in the record store first: what lies in a topic goes with its retention."""

    def __init__(self, letters: DeadLetters, store: Store | None = None) -> None:
        """Without a store only topics are looked at."""
        self._letters = letters
        self._store = store

    def of(self, letter: DeadLetter) -> RawRecord:
        """The original record, whole. Raises OriginalGoneError, UnreadableError."""
        origin, pointer = letter.origin, letter.pointer
        if origin is None:
            raise OriginalGoneError(f"dead letter {letter.address} does not say where it came from")
        if pointer is None and not letter.bounded:
            return origin
        found = self._in_topic(origin)
        if found is not None and pointer is not None and pointer.sha256 not in (None, found.value_hash):
            found = None
        if found is not None:
            return found
        if pointer is not None and pointer.stored and pointer.sha256 and pointer.size is not None and self._store:
            try:
                value = self._store.get(pointer.stored, pointer.size, pointer.sha256)
            except Exception as error:  # a store raises what its storage raises
                raise OriginalGoneError(f"dead letter {letter.address}: {type(error).__name__}") from None
            return replace(origin, value=value, held=True, size=None, sha256=None)
        raise OriginalGoneError(f"the record of dead letter {letter.address} is no longer in {origin.topic}")

    def _in_topic(self, origin: RawRecord) -> RawRecord | None:
        cluster, place = self._letters.cluster, (self._letters.prefix + origin.topic, origin.partition)
        if place not in self._letters.places(origin.topic):
            return None
        start, end = cluster.starts([place])[place], cluster.readable_ends([place])[place]
        if not start <= origin.offset < end:
            return None
        for chunk in cluster.read({place: Span(origin.offset, origin.offset + 1)}):
            for message in chunk:
                return replace(
                    origin,
                    key=message.key(),
                    value=message.value(),
                    headers=headers_of(message),
                    held=True,
                    size=None,
                    sha256=None,
                )
        return None
