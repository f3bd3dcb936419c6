"""A consumer of every topic that tests ask what has come out, and that waits for what is still to come."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from schemas.serde import Serde
from streams import topics
from streams.broker.headers import headers_of
from streams.settings import Settings

#: Longest wait for something that must come. A worker that is killed is missed after 6 s and replaced in about 8.
PATIENCE_S = 120.0
#: How long nothing more must come before a test believes that nothing will.
SILENCE_S = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A committed record. `event` is None for dead letters."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]
    event: Any


class Watcher:
    """Reads all topics read_committed from their beginning."""

    def __init__(self, settings: Settings) -> None:
        self.records: list[Seen] = []
        self._serde = Serde(settings.schema_registry_url)
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": "test-watcher",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                # A record is handed out at once; this is how often the broker is asked where there is none.
                "fetch.wait.max.ms": 200,
                "log_level": 0,
            }
        )
        watched = [topic.name for topic in topics.ALL if topic.record is not None or topic.name == topics.DEAD_LETTERS]
        self._consumer.assign(
            [
                TopicPartition(name, number, OFFSET_BEGINNING)
                for name in watched
                for number in range(settings.partitions)
            ]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def until(self, wanted: Callable[[Seen], bool], count: int = 1, *, what: str = "a record") -> list[Seen]:
        """The records that match, as soon as there are `count`; fails when they do not come."""
        deadline = time.monotonic() + PATIENCE_S
        while len(found := [record for record in self.records if wanted(record)]) < count:
            assert time.monotonic() < deadline, f"{what}: {len(found)} of {count} came within {PATIENCE_S:.0f} s"
            self._read(0.2)
        return found

    def of(self, case_id: UUID, topic: str, count: int = 1) -> list[Any]:
        """The events of a case on a topic, as soon as there are `count`."""
        records = self.until(
            lambda seen: seen.topic == topic and getattr(seen.event, "case_id", None) == case_id,
            count,
            what=f"{topic} of case {case_id}",
        )
        return [record.event for record in records]

    def dead_letter_of(self, value: bytes) -> Seen:
        """The dead letter with exactly these bytes."""
        return self.until(
            lambda seen: seen.topic == topics.DEAD_LETTERS and seen.value == value, what="the dead letter"
        )[0]

    def settle(self) -> list[Seen]:
        """Everything, once nothing more has come for a while."""
        quiet_since = time.monotonic()
        while time.monotonic() - quiet_since < SILENCE_S:
            if self._read(0.2):
                quiet_since = time.monotonic()
        return self.records

    def _read(self, timeout_s: float) -> int:
        before = len(self.records)
        message = self._consumer.poll(timeout_s)
        while message is not None:
            if message.error() is None:
                self.records.append(self._seen(message))
            message = self._consumer.poll(0)
        return len(self.records) - before

    def _seen(self, message: Any) -> Seen:
        value = message.value()
        event = None
        if message.topic() != topics.DEAD_LETTERS and value is not None:
            try:
                event = self._serde.decode(value, message.topic() or "")
            except Exception:
                # What a test published to be refused is refused here too.
                event = None
        return Seen(
            topic=message.topic(),
            partition=message.partition(),
            offset=message.offset(),
            timestamp_ms=message.timestamp()[1],
            key=message.key(),
            value=value,
            headers={name: value or b"" for name, value in headers_of(message)},
            event=event,
        )
