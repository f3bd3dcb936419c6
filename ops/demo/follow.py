"""Reads the pipeline's topics as any subscriber would, and groups what was published by case."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from confluent_kafka import OFFSET_BEGINNING, Message, TopicPartition

from schemas.errors import ContractError
from schemas.events import (
    AuditEntry,
    CaseEvent,
    EscalationEvent,
    GradingEvent,
    InferenceEvent,
)
from schemas.serde import Serde
from streams import topics
from streams.broker.clients import observer
from streams.broker.skipping import Skipper
from streams.settings import Settings


@dataclass(slots=True)
class Story:
    """All events about one case, in the order of reading."""

    cases: list[CaseEvent] = field(default_factory=list)
    inferences: list[InferenceEvent] = field(default_factory=list)
    gradings: list[GradingEvent] = field(default_factory=list)
    escalations: list[EscalationEvent] = field(default_factory=list)
    audit: list[AuditEntry] = field(default_factory=list)
    dead_letters: int = 0
    #: When the broker wrote the newest escalation of level 0 (seconds since the epoch).
    escalated_at: float | None = None


class Follower:
    """A read_committed reader of all topics, in a thread; it joins no consumer group and commits nothing."""

    def __init__(self, settings: Settings) -> None:
        self.stories: dict[UUID, Story] = {}
        self.lock = threading.Lock()
        self._serde = Serde(settings.schema_registry_url)
        self._consumer = observer(settings.bootstrap_servers)
        self._skipper = Skipper(self._consumer)
        names = [topic.name for topic in topics.ALL if topic.record is not None or topic.name == topics.DEAD_LETTERS]
        self._consumer.assign(
            [TopicPartition(name, part, OFFSET_BEGINNING) for name in names for part in range(settings.partitions)]
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(5)
        self._consumer.close()

    def wait(self, until: Callable[[dict[UUID, Story]], bool], within_s: float, look: Callable[[], None]) -> bool:
        """Whether `until` came true in time; `look` is called about four times a second meanwhile."""
        deadline = time.monotonic() + within_s
        while True:
            with self.lock:
                if until(self.stories):
                    return True
            look()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.25)

    def _run(self) -> None:
        while not self._stop.is_set():
            message = self._consumer.poll(0.2)
            if message is None or self._skipper.skipped(message) is not None:
                continue
            if message.error() is None:
                with self.lock:
                    self._take(message)

    def _take(self, message: Message) -> None:
        if message.topic() == topics.DEAD_LETTERS:
            self._story(UUID((message.key() or b"").decode())).dead_letters += 1
            return
        try:
            event: Any = self._serde.decode(message.value() or b"", message.topic() or "")
        except ContractError:
            return
        if not isinstance(event, CaseEvent | InferenceEvent | GradingEvent | EscalationEvent | AuditEntry):
            return
        story = self._story(event.case_id)
        match event:
            case CaseEvent():
                story.cases.append(event)
            case InferenceEvent():
                story.inferences.append(event)
            case GradingEvent():
                story.gradings.append(event)
            case AuditEntry():
                story.audit.append(event)
            case EscalationEvent():
                story.escalations.append(event)
                if event.level == 0:
                    story.escalated_at = message.timestamp()[1] / 1000

    def _story(self, case_id: UUID) -> Story:
        return self.stories.setdefault(case_id, Story())
