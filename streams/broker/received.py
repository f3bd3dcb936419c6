"""A record as a consumer hands it on: where it stood, its bytes, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from uuid import UUID

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Message

from schemas.envelope.raw import plausible_time
from schemas.errors import InvalidEventError, UndecodableError
from schemas.events import Event
from streams.broker.headers import headers_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """A record as it came. Its text form tells the place only, since key, value and event may be patient data."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    timestamp: datetime | None
    decoded: Event | None
    #: Why the value could not be decoded; None where it could.
    error: UndecodableError | InvalidEventError | None

    @property
    def event(self) -> Event:
        """The typed event. Raises `error` for a record that cannot be decoded, so that nobody overlooks one."""
        if self.decoded is None:
            raise self.error or UndecodableError(f"{self.topic}[{self.partition}]@{self.offset} holds no value")
        return self.decoded

    def as_mapping(self) -> dict[str, object]:
        """Place and event in plain values, ready for JSON: ids and times as texts, enums as their symbols."""
        mapping: dict[str, object] = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        if self.decoded is None:
            return {**mapping, "error": str(self.error or "no value")}
        return {**mapping, "record": type(self.decoded).__name__, "event": _plain(self.decoded)}


def received_event(
    message: Message, topic: str, decoded: Event | None, error: UndecodableError | InvalidEventError | None
) -> ReceivedEvent:
    """The message under the name `topic` (a mirrored cluster has a prefix before it), with what its value means."""
    kind, milliseconds = message.timestamp()
    return ReceivedEvent(
        topic=topic,
        partition=message.partition() or 0,
        offset=message.offset() or 0,
        key=message.key(),
        value=message.value(),
        headers=headers_of(message),
        timestamp=None if kind == TIMESTAMP_NOT_AVAILABLE else plausible_time(milliseconds, datetime.now(UTC)),
        decoded=decoded,
        error=error,
    )


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        case UUID():
            return str(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case _ if is_dataclass(value):
            return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
