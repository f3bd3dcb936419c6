"""Reads what a system under attack publishes, by keys and headers alone: it must understand versions of long ago."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from confluent_kafka import Message, TopicPartition

from schemas.envelope.dead_letter import PREFIX, case_id_of, number_of
from schemas.envelope.raw import RawRecord
from schemas.errors import ContractError
from schemas.record import Record
from schemas.serde import Serde
from streams import topics
from streams.broker import clients
from streams.broker.headers import headers_of
from streams.settings import Settings

ESCALATIONS = frozenset(topics.ESCALATIONS.values())
_READ = (topics.INFERENCES, topics.GRADINGS, *sorted(ESCALATIONS), topics.DEAD_LETTERS, topics.AUDIT)
Place = tuple[str, int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where a record lies, its key, and when the broker had it (ms since the epoch)."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    timestamp_ms: int = 0

    @property
    def case_id(self) -> str:
        """The case that people are asked about on its account."""
        raw = RawRecord(
            topic=self.topic, partition=self.partition, offset=self.offset, timestamp_ms=0, key=self.key, value=None
        )
        return str(case_id_of(raw))


class Witness:
    """Reads from now on, in a thread of its own, so that nothing waits for a slow look."""

    def __init__(self, settings: Settings) -> None:
        self._serde = Serde(settings.schema_registry_url)
        self._lock = threading.Lock()
        self._seen: dict[str, dict[str, list[Message]]] = defaultdict(lambda: defaultdict(list))
        self._letters: dict[Place, Message] = {}
        self._all: list[Message] = []
        self._end = threading.Event()
        self._consumer = clients.observer(settings.bootstrap_servers, {"fetch.message.max.bytes": 4_000_000})
        places = [TopicPartition(name, number) for name in _READ for number in range(settings.partitions)]
        for place in places:
            place.offset = self._consumer.get_watermark_offsets(place, timeout=30.0)[1]
        self._consumer.assign(places)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def forget(self) -> None:
        """Drop what was seen: the next attack begins."""
        with self._lock:
            self._seen.clear()
            self._letters.clear()
            self._all.clear()

    def of(self, case_id: UUID | str, *names: str) -> list[Message]:
        """The records of a case on these topics, oldest first."""
        with self._lock:
            found = [message for name in names for message in self._seen[name][str(case_id)]]
        return sorted(found, key=lambda message: message.timestamp()[1])

    def events(self, case_id: UUID | str, *names: str) -> list[Any]:
        """The events in them, as far as they can be read."""
        return [event for message in self.of(case_id, *names) if (event := self._decoded(message)) is not None]

    def letter(self, sent: Placed) -> Message | None:
        """The dead letter of a record."""
        with self._lock:
            return self._letters.get((sent.topic, sent.partition, sent.offset))

    def letters(self) -> int:
        """How many dead letters there were."""
        with self._lock:
            return len(self._letters)

    def unanswered(self, sent: Sequence[Placed]) -> list[Placed]:
        """Of these, what nobody was asked about and what was not judged either: a grading per record is an answer."""
        asked: dict[str, list[Placed]] = defaultdict(list)
        for one in sent:
            asked[self._asked_as(one)].append(one)
        # A record with a grading and no dead letter was judged.
        return [one for case_id, records in asked.items() for one in records[len(self.of(case_id, topics.GRADINGS)) :]]

    def audited(self, sent: Placed) -> bool:
        """Whether the audit has something on the case of a record."""
        return bool(self.of(self._asked_as(sent), topics.AUDIT))

    def _asked_as(self, sent: Placed) -> str:
        """The case under which people are asked: that of its key, or of its place where no reader had the key."""
        letter = self.letter(sent)
        return sent.case_id if letter is None or letter.key() == sent.key else replace(sent, key=None).case_id

    def holding(self, marker: bytes) -> list[str]:
        """The topics, dead letters apart, on which these bytes were published."""
        with self._lock:
            found = {
                str(message.topic())
                for message in self._all
                if message.topic() != topics.DEAD_LETTERS and marker in (message.value() or b"")
            }
        return sorted(found)

    def until(self, wanted: Callable[[], bool], patience_s: float) -> bool:
        """Wait for something to be seen; whether it was."""
        deadline = time.monotonic() + patience_s
        while not wanted():
            if time.monotonic() > deadline:
                return False
            self._end.wait(0.05)
        return True

    def close(self) -> None:
        """Stop reading."""
        self._end.set()
        self._thread.join()
        self._consumer.close()
        self._serde.close()

    def _read(self) -> None:
        while not self._end.is_set():
            for message in self._consumer.consume(500, timeout=0.1):
                if message.error() is None:
                    self._keep(message)

    def _keep(self, message: Message) -> None:
        topic, key = str(message.topic()), (message.key() or b"").decode(errors="replace")
        with self._lock:
            self._all.append(message)
            # An audit entry's key begins with its case.
            self._seen[topic][key.partition("/")[0]].append(message)
            if topic == topics.DEAD_LETTERS:
                headers = dict(headers_of(message))
                origin, partition, offset = (headers.get(PREFIX + name) for name in ("topic", "partition", "offset"))
                place = (origin or b"").decode(errors="replace"), number_of(partition, -1), number_of(offset, -1)
                self._letters.setdefault(place, message)

    def _decoded(self, message: Message) -> Record | None:
        with suppress(ContractError):
            return self._serde.decode(message.value() or b"", str(message.topic()))
        return None
