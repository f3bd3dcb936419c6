"""Which schema a record of a topic was written with: found by the id in its header, once, and only if it is accepted.

An id is accepted on a topic when it stands under the topic's own subject (TopicNameStrategy), or is to the letter a
schema that we carry, whoever registered it or deleted its subject. What the registry said is kept: for good where it
cannot change, briefly where it can.
"""

from __future__ import annotations

import math
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeVar

from schemas import acceptance
from schemas.acceptance import CARRIED_FROM, Writer
from schemas.errors import RegistryUnavailableError, UndecodableError
from schemas.registry import subject_of

#: One zero byte and the schema id.
HEADER = struct.Struct(">bI")

#: For so long an id that the registry did not know, or not under the subject, is not asked for again: a flood of
#: foreign bytes must not become a flood of requests, and yet a schema registered a moment too late is found soon.
REFUSED_S = 10.0
#: An id that was not answered is not asked for again so soon: each question may take seconds, and a batch has one
#: deadline for all its records. Shorter than an emergency's patience (5 s), so that it asks more than once.
UNANSWERED_S = 1.0
#: Ids that are refused within `REFUSED_S`; then no other is asked for until that has passed. Each question takes
#: milliseconds while a batch waits: two thousand records of an id each held up the emergency behind them for minutes.
MOST_REFUSED = 8
#: Foreign bytes can name any of 2³² ids, and anybody may register schemas: what is kept of them is bounded.
KEPT = 1_000
#: A schema takes up to some 200 kB of memory. All topics with all their versions are well below this.
WRITERS_KEPT = 256

Key = tuple[str, int]
K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class Schemas(Protocol):
    """What is needed of `schemas.registry.Registry`. Every method raises RegistryUnavailableError."""

    def schema(self, schema_id: int) -> str | None:
        """The schema (JSON) with this id; None when there is none."""

    def subjects(self, schema_id: int) -> frozenset[str]:
        """The subjects under which the schema with this id is registered now."""


class Writers:
    """Finds writers' schemas; safe to share between threads, since each step is one operation on a dict."""

    def __init__(self, registry: Schemas, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds."""
        self._registry = registry
        self._clock = clock
        self._accepted: dict[int, Writer] = {}
        #: Pairs of topic and id that may be read.
        self._readable: dict[Key, Writer] = {}
        #: Why a pair may not be read, and until when that stands.
        self._refused: dict[Key, tuple[str, float]] = {}
        self._unanswered: dict[int, float] = {}
        #: When the latest ids were refused.
        self._refusals: deque[float] = deque(maxlen=MOST_REFUSED)

    def knows(self, topic: str, schema_id: int) -> bool:
        """Whether `writer` answers without asking the registry, and so without blocking."""
        key = (topic, schema_id)
        return (
            key in self._readable
            or self._refusal(key) is not None
            or schema_id >= CARRIED_FROM
            # And will be so when it is decoded, a moment later.
            or self._flooded(UNANSWERED_S)
        )

    def writer(self, topic: str, schema_id: int) -> Writer:
        """The schema that records with this id on this topic were written with.

        Raises UndecodableError when they must not be read, RegistryUnavailableError when the registry does not answer.
        """
        key = (topic, schema_id)
        known = self._readable.get(key)
        if known is not None:
            return known
        refusal = self._refusal(key)
        if refusal is not None:
            raise UndecodableError(refusal)
        if schema_id < CARRIED_FROM and self._flooded():
            raise UndecodableError(f"schema id {schema_id} was not asked for: too many before it were refused")
        try:
            writer = self._find(topic, schema_id)
        except UndecodableError as error:
            if schema_id < CARRIED_FROM:
                self._refusals.append(self._clock())
            until = self._clock() + REFUSED_S if isinstance(error, _MayChangeError) else math.inf
            _keep(self._refused, key, (str(error), until))
            raise UndecodableError(str(error)) from None
        _keep(self._readable, key, writer, WRITERS_KEPT)
        return writer

    def remember(self, topic: str, schema_id: int, schema: str) -> None:
        """Take over what is known otherwise: this id stands for this schema of ours, under the topic's subject."""
        self._readable[topic, schema_id] = acceptance.accept(schema)

    def _find(self, topic: str, schema_id: int) -> Writer:
        if schema_id >= CARRIED_FROM:
            if schema_id not in acceptance.carried_ids():
                raise UndecodableError(f"schema id {schema_id} stands for no schema that this version carries")
            return acceptance.accept(acceptance.carried_ids()[schema_id])
        writer = self._accepted.get(schema_id)
        if writer is None:
            text = self._ask(schema_id, self._registry.schema)
            if text is None:
                raise _MayChangeError(f"the registry knows no schema id {schema_id}")
            try:
                writer = acceptance.accept(text)
            except UndecodableError as error:
                raise UndecodableError(f"schema id {schema_id}: {error}") from None
            _keep(self._accepted, schema_id, writer, WRITERS_KEPT)
        if not writer.carried and subject_of(topic) not in self._ask(schema_id, self._registry.subjects):
            raise _MayChangeError(f"schema id {schema_id} is not registered under {subject_of(topic)}")
        return writer

    def _ask(self, schema_id: int, question: Callable[[int], T]) -> T:
        since = self._unanswered.get(schema_id)
        if since is not None and self._clock() - since < UNANSWERED_S:
            raise RegistryUnavailableError(f"the schema registry did not answer just now for schema id {schema_id}")
        try:
            return question(schema_id)
        except RegistryUnavailableError:
            _keep(self._unanswered, schema_id, self._clock())
            raise

    def _flooded(self, in_s: float = 0.0) -> bool:
        """Whether so many ids were refused that no other is asked for, now and for so many seconds."""
        refusals = self._refusals
        return len(refusals) == MOST_REFUSED and self._clock() + in_s - refusals[0] < REFUSED_S

    def _refusal(self, key: Key) -> str | None:
        refused = self._refused.get(key)
        return refused[0] if refused is not None and self._clock() < refused[1] else None


class _MayChangeError(UndecodableError):
    """The registry may say otherwise later."""


def _keep(kept: dict[K, V], key: K, value: V, most: int = KEPT) -> None:
    if len(kept) >= most and key not in kept:
        kept.clear()
    kept[key] = value


def schema_id_of(value: bytes) -> int:
    """The schema id in a record value; UndecodableError when it does not begin with the Confluent header."""
    if len(value) < HEADER.size or value[0] != 0:
        raise UndecodableError("the value does not begin with a Confluent header (a zero byte and a schema id)")
    schema_id: int = HEADER.unpack_from(value)[1]
    return schema_id
