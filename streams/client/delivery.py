"""The answers to publishing: where the event stands, or why it does not."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from uuid import UUID

from confluent_kafka import KafkaError, Message

from schemas.events import CaseEvent, Lane
from streams.client.cases import NewCase


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedCase:
    """The broker's answer: where the case event stands."""

    case_id: UUID
    event_id: UUID
    lane: Lane
    topic: str
    partition: int
    offset: int
    #: This producer had published it before; nothing was sent.
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedCase:
    """A case of `publish_many` that was not published, and why (one of PUBLISH_ERRORS)."""

    case: NewCase
    error: Exception


@dataclass(slots=True)
class Delivery:
    """An event on its way; the callback of librdkafka fills in the rest, on whichever thread polls."""

    event: CaseEvent
    topic: str
    done: threading.Event = field(default_factory=threading.Event)
    error: KafkaError | None = None
    partition: int = -1
    offset: int = -1

    def report(self, error: KafkaError | None, message: Message) -> None:
        """Take down what the broker said."""
        self.error = error
        if error is None:
            self.partition, self.offset = message.partition(), message.offset()
        self.done.set()

    def published(self, *, duplicate: bool) -> PublishedCase:
        """The answer for the caller, once the broker has the event."""
        return PublishedCase(
            case_id=self.event.case_id,
            event_id=self.event.event_id,
            lane=self.event.lane,
            topic=self.topic,
            partition=self.partition,
            offset=self.offset,
            duplicate=duplicate,
        )
