"""What an attacker can reach of a system: its topics, its registry, its folder of pictures, its open ports."""

from __future__ import annotations

import copy
import hashlib
import json
import struct
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from confluent_kafka import Producer

from inference.synthetic.generator import picture
from ops.attacks.target import Target
from ops.attacks.witness import Placed, Witness
from schemas import definitions, ids
from schemas.envelope.partitioner import partition_of
from schemas.events import CaseEvent, ImageReference, Lane, PatientContext
from schemas.record import Record
from schemas.serde import Serde
from streams import topics
from streams.broker import clients
from streams.images.store import ImageStore
from streams.settings import Settings

TOPIC = topics.CASES_EMERGENCY
#: What the registry's ids are written in.
HEADER = struct.Struct(">bI")
Headers = Sequence[tuple[str, bytes | None]]


class AttackError(RuntimeError):
    """An attack cannot be made: what it sends was not taken."""


@dataclass
class Field:
    """The system under attack, the sound emergency that will follow, and what was sent before it."""

    target: Target
    settings: Settings
    serde: Serde
    store: ImageStore
    witness: Witness
    #: The emergency that is published right behind the attack.
    sound: CaseEvent = field(init=False)
    sent: list[Placed] = field(default_factory=list)
    #: What an attack keeps for its look afterwards.
    notes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, target: Target) -> Field:
        """A system that has just been started."""
        settings = target.settings
        serde = Serde(settings.schema_registry_url)
        serde.register_all(topics.RECORDS)
        return cls(target, settings, serde, ImageStore.from_settings(settings), Witness(settings))

    @cached_property
    def wound(self) -> ImageReference:
        """A picture of a deep wound, as any client stores it."""
        return self.store.put(picture(seed=4, index=0, stage="stage_4", size=384).jpeg())

    def prepare(self) -> None:
        """Draw the sound emergency of the next attack."""
        self.sound, self.sent, self.notes = self.case(case_id=uuid4()), [], {}

    @property
    def partition(self) -> int:
        """Where the sound emergency will lie."""
        return self.partition_of(self.sound.case_id)

    def partition_of(self, case_id: UUID) -> int:
        """Where a case lies, on every topic."""
        return partition_of(str(case_id).encode(), self.settings.partitions)

    def neighbour(self) -> UUID:
        """The id of another case that lies on the partition of the sound emergency."""
        while self.partition_of(case_id := uuid4()) != self.partition:
            pass
        return case_id

    def case(self, image: ImageReference | None = None, case_id: UUID | None = None, **fields: Any) -> CaseEvent:
        """An emergency with a picture of a deep wound, on the partition of the sound one."""
        case_id = case_id or self.neighbour()
        now = datetime.now(UTC)
        case = CaseEvent(
            event_id=ids.case_event_id(case_id, Lane.EMERGENCY),
            case_id=case_id,
            lane=Lane.EMERGENCY,
            captured_at=now,
            published_at=now,
            patient_token="vpt1-00000000-" + hashlib.sha256(case_id.bytes).hexdigest(),
            image=image or self.wound,
            context=PatientContext(age=85, diabetes=True),
            producer="attack",
        )
        return replace(case, **fields)

    def unchecked(self, event: Record, topic: str = TOPIC, **fields: Any) -> bytes:
        """The value of an event that our own classes would refuse to make."""
        changed = copy.copy(event)
        for name, value in fields.items():
            object.__setattr__(changed, name, value)
        return self.serde.encode(changed, topic)

    def picture(self, data: bytes, suffix: str = "jpg", media_type: str = "image/jpeg") -> ImageReference:
        """Bytes in the store, as they are, past the client that would refuse or clean them."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.images / digest[:2] / f"{digest}.{suffix}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        return ImageReference(uri=f"file://{path}", sha256=digest, size_bytes=len(data), media_type=media_type)

    @property
    def images(self) -> Path:
        """The folder of the store."""
        return Path(self.settings.image_store.removeprefix("file://"))

    def send(
        self,
        value: bytes | None,
        *,
        key: bytes | None = b"",
        headers: Headers = (),
        topic: str = TOPIC,
        partition: int | None = None,
        heard: bool = True,
        **settings: Any,
    ) -> None:
        """Put bytes on a topic: on the partition of the sound emergency and with the key of another case, unless said
        otherwise. `settings` are the producer's."""
        self.send_all([value], key=key, headers=headers, topic=topic, partition=partition, heard=heard, **settings)

    def send_all(
        self,
        values: Sequence[bytes | None],
        *,
        key: bytes | None = b"",
        headers: Headers = (),
        topic: str = TOPIC,
        partition: int | None = None,
        heard: bool = True,
        **settings: Any,
    ) -> None:
        """As `send`, many of them through one producer."""
        producer = self.producer(**settings)
        used = str(self.neighbour()).encode() if key == b"" else key
        delivered: list[Placed] = []

        def on_delivery(error: Any, message: Any) -> None:
            if error is not None:
                raise AttackError(f"the broker refused it: {error}")
            delivered.append(
                Placed(message.topic(), message.partition(), message.offset(), used, message.timestamp()[1])
            )

        for value in values:
            while True:
                try:
                    producer.produce(
                        topic,
                        value,
                        key=used,
                        partition=self.partition if partition is None else partition,
                        headers=list(headers),
                        on_delivery=on_delivery,
                    )
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush(60)
        if len(delivered) != len(values):
            raise AttackError("the broker did not take it")
        if heard:
            self.sent += delivered

    def send_case(self, case: CaseEvent, value: bytes | None = None, *, heard: bool = True) -> None:
        """Publish an emergency as any client would; `value` in place of its own."""
        value = self.serde.encode(case, TOPIC) if value is None else value
        self.send(value, key=str(case.case_id).encode(), partition=self.partition_of(case.case_id), heard=heard)

    def producer(self, **settings: Any) -> Producer:
        """A producer with whatever settings an attacker likes; dots written as underscores."""
        named = {name.replace("_", "."): value for name, value in settings.items()}
        return clients.producer(self.settings.bootstrap_servers, {"linger.ms": 50, **named})

    def foreign_schema(self, subject: str, fields: Sequence[Any]) -> int:
        """Register a schema that calls itself ours, with more fields in front; its id."""
        schema = json.loads(definitions.text(CaseEvent.__avro__.full_name))
        schema["fields"] = [*fields, *schema["fields"]]
        return self.serde.registry.register(subject, json.dumps(schema))

    def under(self, schema_id: int, body: bytes, case: CaseEvent | None = None) -> bytes:
        """A value under a schema id: these bytes, and then a case's."""
        rest = b"" if case is None else self.serde.encode(case, TOPIC)[HEADER.size :]
        return HEADER.pack(0, schema_id) + body + rest

    def close(self) -> None:
        """Close what was opened."""
        with suppress(Exception):
            self.witness.close()
        self.serde.close()
