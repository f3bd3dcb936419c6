"""A record as a consumer hands it on: where it stood, its bytes, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from schemas.errors import InvalidEventError, UndecodableError
from schemas.events import Event


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
