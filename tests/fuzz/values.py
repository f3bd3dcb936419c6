"""Record values and dead letters through whoever only looks: subscriber, command line, lag, audit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any, cast

from confluent_kafka import Message

from ops.commands.consume import _line
from ops.commands.dead_letters import _as_mapping, _row
from ops.lag.clinical.projection import Projection
from ops.lag.clinical.unanswered import Escalations
from ops.terminal.plain import UNSAFE_IN_BLOCK, as_json, plain
from schemas.envelope.pointer import Pointer
from schemas.errors import InvalidEventError, UndecodableError
from schemas.events import Event
from schemas.serde import Serde
from streams import topics
from streams.audit.decoding import FactReader
from streams.broker.received import received_event
from streams.dead_letters.read import Audited, letter_of
from tests.fuzz.events import FOREIGN_FROM, Registered, Values, foreign_schema, forget, serde
from tests.fuzz.mutation import anything, changed, mutated
from tests.fuzz.records import CONTENTS, KEYS, NAMES

POINTER = Pointer(topic=topics.CASES_ROUTINE, partition=1, offset=5, size=3_000_000, sha256="0" * 64, stored=None)
ORIGIN: Mapping[str, bytes | None] = {
    "topic": topics.CASES_ROUTINE.encode(), "partition": b"1", "offset": b"5", "stage": b"grading",
    "reason": b"refused", "message": b"m", "timestamp": b"1764000000000", "attempt": b"0",
}  # fmt: skip


class Target:
    """One record at a time."""

    def __init__(self) -> None:
        self._registered = Registered()
        self._serde = serde(self._registered)
        self._values = Values(self._serde)
        self._topics = [topic.name for topic in topics.ALL if topic.record is not None]
        self._projection, self._facts = Projection(self._registered), FactReader(self._registered)
        self._escalations = Escalations()

    def run(self, rng: Random) -> str:
        """One record, of an event topic or of the dead letters."""
        if rng.random() < 0.25:
            return self._dead_letter(rng)
        topic = rng.choice(self._topics)
        value = self._values.draw(rng, topic)
        if value is not None and rng.random() < 0.01:
            # Read with a schema that somebody else registered, under an id not met before.
            self._registered.texts = {FOREIGN_FROM: foreign_schema(rng)}
            forget(self._serde, self._registered)
            self._projection, self._facts = Projection(self._registered), FactReader(self._registered)
            value = b"\0" + FOREIGN_FROM.to_bytes(4, "big") + value[5:]
        message = self._message(rng, topic, value)
        became = _subscriber(self._serde, message)
        event = self._projection.read(topic, value)
        if event is not None:
            self._watched(topic, event)
        self._facts.record(topic, 0, 1, 2, message.key(), value)
        if value is not None:
            self._facts.entry(0, 1, 2, message.key(), value)
        return became

    def _watched(self, topic: str, event: Mapping[str, Any]) -> None:
        if topic == topics.AUDIT:
            self._escalations.take_entry(event)
        elif topic in topics.ESCALATIONS.values():
            self._escalations.take_event(event)

    def close(self) -> None:
        """Nothing is held."""

    def _dead_letter(self, rng: Random) -> str:
        headers = {f"vigia.errors.{name}": value for name, value in ORIGIN.items() if rng.random() < 0.97}
        for _ in range(rng.choice((0, 1, 1, 3))):
            headers[rng.choice([*headers, *NAMES[:-3]])] = rng.choice(CONTENTS)
        value = self._values.draw(rng, topics.CASES_ROUTINE)
        if rng.random() < 0.6:
            headers["vigia.errors.pointer"] = b"1"
            pointer: Any = changed(rng, json.loads(POINTER.to_bytes()), 0.2) if rng.random() < 0.95 else anything(rng)
            value = json.dumps(pointer).encode("utf-8", "surrogatepass")
            if rng.random() < 0.2:
                value = bytes(mutated(rng, value, (value[::-1],)))
        letter = letter_of(self._message(rng, topics.DEAD_LETTERS, value, list(headers.items())))
        told = Audited(known=False, redriven=0)
        _shown(as_json(_as_mapping(letter, told)))
        _shown(" ".join(map(plain, _row(letter, told))))
        self._facts.dead_letter(0, 1, 2, letter.origin, letter.value)
        if letter.origin is None:
            return "dead letter of no origin"
        return "dead letter, pointer" if letter.pointer else "dead letter"

    def _message(self, rng: Random, topic: str, value: bytes | None, headers: Any = None) -> Message:
        key = rng.choice((None, *KEYS)) if rng.random() < 0.3 else KEYS[0]
        stamp = rng.choice((0, -1, 1_764_000_000_000, 2**63 - 1, -(2**63)))
        return Message(topic=topic, partition=0, offset=7, key=key, value=value, headers=headers, timestamp=(1, stamp))


def _subscriber(codec: Serde, message: Message) -> str:
    """As `streams.client.EventConsumer` hands it on and `vigia consume` prints it."""
    event, failure = None, None
    try:
        if message.value() is not None:
            event = cast(Event, codec.decode(message.value(), message.topic()))
    except (UndecodableError, InvalidEventError) as error:
        failure = error
    received = received_event(message, message.topic(), event, failure)
    _shown(as_json(received.as_mapping()))
    _shown(plain(_line(received)))
    return "no value" if message.value() is None else type(failure or event).__name__


def _shown(text: str) -> None:
    assert not UNSAFE_IN_BLOCK.search(text.replace("\n", "")), "it would reach a terminal raw"
    text.encode()
