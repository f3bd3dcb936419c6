"""Records of the pipeline: sound ones, and what mutation makes of them; the decoder in between has no registry."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import fastavro

from schemas import acceptance, binary, definitions
from schemas.events import PipelineStage
from schemas.record import Record
from schemas.serde import Serde
from schemas.writers import HEADER, Writers
from streams import topics
from tests.fuzz.mutation import changed, mutated
from tests.unit.schemas.samples import ALL, AUDIT_ENTRY, OTHER

#: Entries of other stages, whose attributes are read.
ENTRIES = (
    replace(AUDIT_ENTRY, stage=PipelineStage.ACKNOWLEDGEMENT, outcome="acknowledged",
            attributes={"level": "1", "ack_event_id": str(OTHER), "in_time": "True"}),
    replace(AUDIT_ENTRY, stage=PipelineStage.ESCALATION, outcome="deadline_missed:emergency:0",
            attributes={"level": "0"}),
    replace(AUDIT_ENTRY, stage=PipelineStage.QUARANTINE, outcome="dead_letter:refused", topic="vigia.dead-letters",
            input_hash=None, attributes={"topic": "vigia.gradings", "partition": "1", "offset": "5", "pointer": "1"}),
    replace(AUDIT_ENTRY, outcome="quarantined:undecodable", attributes={"severity": "urgent", "escalations": "a,b"}),
)  # fmt: skip
#: Topic → the sound events that belong there.
SOUND: Mapping[str, tuple[Record, ...]] = {
    topic.name: events
    for topic in topics.ALL
    if topic.record is not None
    and (events := tuple(event for event in (*ALL, *ENTRIES) if type(event) is topic.record))
}
#: Ids of schemas that others registered.
FOREIGN_FROM = 1_000


class Registered:
    """The schemas that a registry would give out: ours by the ids that we carry, and those that were put here."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}

    def schema(self, schema_id: int) -> str | None:
        """The text of that id."""
        return self.texts.get(schema_id)

    def subjects(self, schema_id: int) -> frozenset[str]:
        """Registered under every topic's own subject."""
        return frozenset(f"{topic.name}-value" for topic in topics.ALL)


def serde(registered: Registered) -> Serde:
    """Our own encoder and decoder; what is registered is asked here, not over HTTP."""
    made = Serde("http://127.0.0.1:1")
    forget(made, registered)
    return made


def forget(made: Serde, registered: Registered) -> None:
    """Let it know our own schemas only."""
    made._readers.clear()
    made._writers = Writers(registered)
    for topic in topics.ALL:
        if topic.record is not None:
            name = topic.record.__avro__.full_name
            made._remember(topic.name, topic.record, acceptance.carried_id(name), definitions.text(name))


class Values:
    """Draws record values."""

    def __init__(self, codec: Serde) -> None:
        self._encoded = {
            topic: tuple(codec.encode(event, topic) for event in events) for topic, events in SOUND.items()
        }
        self._all = [value for values in self._encoded.values() for value in values]
        self._plain: dict[bytes, Any] = {}

    def sound(self, rng: Random, topic: str) -> bytes:
        """One that belongs on the topic."""
        return rng.choice(self._encoded[topic])

    def draw(self, rng: Random, topic: str) -> bytes | None:
        """A value as somebody may put it there."""
        roll = rng.random()
        if roll < 0.02:
            return None
        if roll < 0.06:
            return rng.randbytes(rng.choice((0, 1, 4, 5, 6, 40, 400)))
        if roll < 0.10:
            return rng.choice(self._all)
        value = self.sound(rng, topic)
        if roll < 0.15:
            return value
        if roll < 0.60:
            return bytes(mutated(rng, value, self._all, 60))
        if roll < 0.61:
            return bytes(rng.choice((300_000, 1_100_000))) if rng.random() < 0.02 else value + bytes(5_000)
        return self._rewritten(rng, value)

    def _rewritten(self, rng: Random, value: bytes) -> bytes:
        """Written anew by somebody who fills our schema with what it does not mean."""
        name, datum = self._datum(value)
        schema = acceptance.own(name)
        for rate in (0.1, 0.03):
            buffer = io.BytesIO()
            try:
                fastavro.schemaless_writer(buffer, schema, changed(rng, datum, rate))
            except Exception:  # not even Avro: what fastavro raises for that is its own affair
                continue
            return value[: HEADER.size] + buffer.getvalue()
        return value

    def _datum(self, value: bytes) -> tuple[str, Any]:
        if value not in self._plain:
            _, schema_id = HEADER.unpack_from(value)
            writer = acceptance.accept(acceptance.carried_ids()[schema_id])
            self._plain[value] = writer.name, binary.datum(value, HEADER.size, writer)
        return self._plain[value]


def foreign_schema(rng: Random) -> str:
    """One of our schemas as somebody else registers it."""
    text = definitions.text(rng.choice(ALL).__avro__.full_name)
    if rng.random() < 0.4:
        return bytes(mutated(rng, text.encode(), (text.encode()[::-1],), 5_000)).decode(errors="replace")
    return json.dumps(changed(rng, json.loads(text), rng.choice((0.002, 0.01, 0.05))))
