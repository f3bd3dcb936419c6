"""Reads the event topics from where each stage has committed, and keeps only what is open."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from ops.lag.broker_view import BrokerView
from ops.lag.client import Partition, reading_consumer
from ops.lag.clinical.figures import LANES, STEPS, ClinicalFigures, Waiting
from ops.lag.clinical.projection import Projection
from ops.lag.clinical.unanswered import Escalations
from ops.lag.clinical.waiting import WaitingQueue
from ops.lag.positions import next_read
from schemas.registry import Registry
from streams import topics
from streams.broker.skipping import Skipper
from streams.pipeline import STAGES

#: Open escalations are looked for this far back: the longest deadline is 48 h, raised again every 4 h at the slowest,
#: so an open one has been published again within it, several times over.
LOOK_BACK_S = 7 * 86_400
#: Seconds of each refresh that may go into reading; a start with much to read takes several.
READ_S = 0.4
CHUNK = 2_000
#: When a stage has passed this many offsets that were not read, they are skipped instead.
JUMP = 10_000

AUDITED_STAGES = (b"acknowledgement", b"escalation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where patients are read from."""

    #: (step, its consumer group, the topic it reads).
    steps: tuple[tuple[str, str, str], ...]
    escalations: frozenset[str]
    audit: str


PIPELINE = Sources(
    steps=tuple((stage.package, stage.group, topic) for stage in STAGES for topic in stage.passes),
    escalations=frozenset(topics.ESCALATIONS.values()),
    audit=topics.AUDIT,
)


@dataclass(slots=True)
class _Before:
    """What stands before a step on one partition."""

    step: str
    group: str
    queue: WaitingQueue


class ClinicalMonitor:
    """Not thread-safe: one loop calls `refresh` with the newest view."""

    def __init__(
        self,
        bootstrap_servers: str,
        registry_url: str,
        *,
        sources: Sources = PIPELINE,
        look_back_s: float = LOOK_BACK_S,
    ) -> None:
        self._sources = sources
        self._consumer: Consumer = reading_consumer(bootstrap_servers, {"auto.offset.reset": "earliest"})
        self._skipper = Skipper(self._consumer)
        self._registry = Registry(registry_url)
        self._projection = Projection(self._registry)
        self._look_back_s = look_back_s
        self._before: dict[Partition, _Before] = {}
        self._read_to: dict[Partition, int] = {}
        self._topic_ids: dict[str, str] = {}
        self.escalations = Escalations()

    def refresh(self, view: BrokerView) -> ClinicalFigures:
        """The figures for a view. Raises RegistryUnavailableError, and KafkaException when the broker is away."""
        self._notice_new_topics(view)
        self._follow(view)
        targets = {place: view.bounds[place].last_stable for place in self._read_to if place in view.bounds}
        deadline = time.monotonic() + READ_S
        while time.monotonic() < deadline and any(self._read_to[place] < upto for place, upto in targets.items()):
            for message in self._consumer.consume(CHUNK, 0.05):
                self._take(message)
        self._pass(view)
        return ClinicalFigures(
            at_s=view.at_s,
            at=view.at,
            complete=all(self._read_to[place] >= upto for place, upto in targets.items()),
            waiting=tuple(self._waiting(view.at)),
            unanswered=tuple(sorted(self.escalations, key=lambda one: one.respond_by_ms)),
            missed=dict(self.escalations.missed),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._consumer.close()
        self._registry.close()

    def _notice_new_topics(self, view: BrokerView) -> None:
        ids = {name: topic.topic_id for name, topic in view.topics.items()}
        stale = [place for place in self._read_to if ids.get(place[0]) != self._topic_ids.get(place[0])]
        if stale:
            self._consumer.incremental_unassign([TopicPartition(*place) for place in stale])
        for place in stale:
            del self._read_to[place]
            self._before.pop(place, None)
        self._topic_ids = ids

    def _follow(self, view: BrokerView) -> None:
        starts: dict[Partition, int] = {}
        for step, group, topic in self._sources.steps:
            for place in _places(view, topic):
                position = _position(view, group, place)
                before = self._before.get(place)
                if before is None:
                    self._before[place] = _Before(step, group, WaitingQueue())
                    starts[place] = position
                elif before.queue.passed(position) or self._read_to[place] < position - JUMP:
                    before.queue.clear()
                    starts[place] = position
        fresh = [
            place
            for topic in (*self._sources.escalations, self._sources.audit)
            for place in _places(view, topic)
            if place not in self._read_to
        ]
        if fresh:
            starts |= self._offsets_at(fresh, view)
        again = [TopicPartition(*place) for place in starts if place in self._read_to]
        if again:
            self._consumer.incremental_unassign(again)
        if starts:
            self._consumer.incremental_assign([TopicPartition(*place, offset) for place, offset in starts.items()])
        self._read_to |= starts

    def _offsets_at(self, places: list[Partition], view: BrokerView) -> dict[Partition, int]:
        since_ms = int((view.at - self._look_back_s) * 1_000)
        found = self._consumer.offsets_for_times([TopicPartition(*place, since_ms) for place in places], timeout=5.0)
        return {
            # −1: nothing is younger, so there is nothing to read yet.
            (one.topic, one.partition): one.offset
            if one.offset >= 0
            else view.bounds[one.topic, one.partition].last_stable
            for one in found
        }

    def _take(self, message: Message) -> None:
        place = (message.topic(), message.partition())
        error = message.error()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF and place in self._read_to:
                self._read_to[place] = max(self._read_to[place], message.offset())
            elif (following := self._skipper.skipped(message)) is not None and place in self._read_to:
                self._read_to[place] = following
            return
        if place not in self._read_to:
            return
        topic, offset = place[0], message.offset()
        self._read_to[place] = offset + 1
        if topic == self._sources.audit and not _concerns_escalations(message.key()):
            return
        event = self._projection.read(topic, message.value())
        if event is None or event.get("synthetic"):
            return
        if topic == self._sources.audit:
            self.escalations.take_entry(event)
        elif topic in self._sources.escalations:
            self.escalations.take_event(event)
        elif event.get("escalations", True):
            self._before[place].queue.add(offset, event["lane"], event["published_at"] // 1_000)

    def _pass(self, view: BrokerView) -> None:
        for place, before in self._before.items():
            if place in view.bounds:
                before.queue.passed(_position(view, before.group, place))

    def _waiting(self, now: float) -> Iterator[Waiting]:
        for step in STEPS:
            queues = [before.queue for before in self._before.values() if before.step == step]
            for lane in LANES:
                oldest = min((ms for queue in queues if (ms := queue.oldest_ms(lane)) is not None), default=None)
                yield Waiting(
                    step=step,
                    lane=lane,
                    cases=sum(queue.count(lane) for queue in queues),
                    oldest_s=max(0.0, now - oldest / 1_000) if oldest is not None else 0.0,
                )


def _places(view: BrokerView, topic: str) -> Iterator[Partition]:
    if topic in view.topics:
        for number in view.topics[topic].partitions:
            if (topic, number) in view.bounds:
                yield topic, number


def _position(view: BrokerView, group: str, place: Partition) -> int:
    known = view.groups.get(group)
    return next_read(known.committed.get(place) if known is not None else None, view.bounds[place])


def _concerns_escalations(key: bytes | None) -> bool:
    """The key of an audit entry is `case/stage/event`; most entries are of other stages and need not be decoded."""
    parts = (key or b"").split(b"/", 2)
    return len(parts) == 3 and parts[1] in AUDITED_STAGES
