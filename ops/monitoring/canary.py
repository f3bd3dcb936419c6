"""A synthetic case through the whole pipeline every few seconds: proof that a case would come through, and how fast.

Lag says that nothing waits; it cannot say that what was read was also decided. The canary publishes a marked case
without a patient, which the policy always gives to people, and watches the topics for what each stage makes of it.
The stages keep it away from people and out of the clinical counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_END, TopicPartition
from prometheus_client import Counter, Gauge, Histogram

from ops.lag.client import reading_consumer
from schemas.events import Lane
from streams.broker.clients import admin_client
from streams.broker.skipping import Skipper
from streams.client import PUBLISH_ERRORS, CaseProducer
from streams.pipeline import STEPS as STEPS
from streams.settings import Settings

#: Seconds between two cases: 8,640 a day, of 1 KiB each on five topics; a break of the pipeline is noticed within 40 s.
EVERY_S = 10.0
#: A case that is not through by then is lost. The pipeline's own promise is 2 s; a failover takes about 8 s.
DEADLINE_S = 30.0
BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30)

PUBLISHED = Counter("vigia_canary_published_total", "Synthetic cases that the broker has confirmed.", ["lane"])
REFUSED = Counter("vigia_canary_refused_total", "Synthetic cases that could not be published.")
STEP = Histogram(
    "vigia_canary_step_seconds",
    "From publishing a synthetic case to the record of a step.",
    ["step", "lane"],
    buckets=BUCKETS,
)
LOST = Counter(
    "vigia_canary_lost_total", "Synthetic cases that had not passed every step before their deadline.", ["lane"]
)
LATEST = Gauge(
    "vigia_canary_latest_round_trip_seconds",
    "Round trip of the newest synthetic case that passed every step.",
    ["lane"],
)
METRICS = (PUBLISHED, REFUSED, STEP, LOST, LATEST)


@dataclass(slots=True)
class Journey:
    """One synthetic case on its way; times are of the monotonic clock."""

    case_id: str
    lane: str
    published_s: float
    #: Step → seconds since publishing.
    seen: dict[str, float] = field(default_factory=dict)

    @property
    def arrived(self) -> bool:
        """Whether every step was seen."""
        return len(self.seen) == len(STEPS)


class Journeys:
    """The synthetic cases on their way, as a fold over what happens; knows no Kafka and no clock."""

    def __init__(self, deadline_s: float = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self._under_way: dict[str, Journey] = {}

    def published(self, case_id: str, lane: str, at_s: float) -> Journey:
        """A case was published."""
        journey = self._under_way[case_id] = Journey(case_id, lane, at_s)
        return journey

    def seen(self, case_id: str, step: str, at_s: float) -> Journey | None:
        """A step's record of the case was read. None: not one of ours, or seen before (a case may raise several)."""
        journey = self._under_way.get(case_id)
        if journey is None or step in journey.seen:
            return None
        journey.seen[step] = max(0.0, at_s - journey.published_s)
        if journey.arrived:
            del self._under_way[case_id]
        return journey

    def lost(self, now_s: float) -> Iterator[Journey]:
        """Those whose deadline has passed, each once."""
        for journey in [*self._under_way.values()]:
            if now_s - journey.published_s > self._deadline_s:
                del self._under_way[journey.case_id]
                yield journey


class Canary:
    """Publishes and watches; `run` until told to stop, or `fly` once."""

    def __init__(self, settings: Settings, *, every_s: float = EVERY_S, deadline_s: float = DEADLINE_S) -> None:
        """Raises TokenKeyMissingError where no token key is configured, KafkaException where no broker answers."""
        self._every_s = every_s
        self._deadline_s = deadline_s
        self._producer = CaseProducer(settings, name="canary", acknowledge_within_s=min(10.0, every_s))
        self._consumer = reading_consumer(settings.bootstrap_servers, {"auto.offset.reset": "latest"})
        self._skipper = Skipper(self._consumer)
        self._step_of = {topic: step for step, names in STEPS.items() for topic in names}
        # Here, not above: drawing needs OpenCV, which those who only want the metrics' names need not load.
        from inference.synthetic.generator import picture

        self._picture = picture(seed=0, index=0, stage="stage_2").jpeg()
        self._journeys = Journeys(deadline_s)
        self._assign(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.close()
        self._consumer.close()

    def run(
        self, stopped: Callable[[], bool], tell: Callable[[str], None], alive: Callable[[], None] = lambda: None
    ) -> None:
        """One case of each lane in turn, until `stopped()`; `tell` gets a line for each that is refused or lost.

        `alive` is called as long as it moves.
        """
        lanes = (Lane.EMERGENCY, Lane.ROUTINE)
        due, count = time.monotonic(), 0
        while not stopped():
            alive()
            if time.monotonic() >= due:
                due += self._every_s
                self.publish(lanes[count % len(lanes)], tell)
                count += 1
            self.watch(0.1, tell)

    def fly(self, lane: Lane, tell: Callable[[str], None]) -> Journey | None:
        """One case, followed until it is through or lost. None: it could not be published."""
        journey = self.publish(lane, tell)
        while journey is not None and not journey.arrived:
            if time.monotonic() - journey.published_s > self._deadline_s:
                break
            self.watch(0.05, tell)
        return journey

    def publish(self, lane: Lane, tell: Callable[[str], None]) -> Journey | None:
        """Publish one case. None: refused."""
        at_s = time.monotonic()
        try:
            case = self._producer.publish(
                image=self._picture,
                patient_code=None,
                analysis_type=lane.value,
                captured_at=datetime.now(UTC),
                synthetic=True,
            )
        except PUBLISH_ERRORS as error:
            REFUSED.inc()
            tell(f"not published: {error}")
            return None
        PUBLISHED.labels(lane.value).inc()
        return self._journeys.published(str(case.case_id), lane.value, at_s)

    def watch(self, seconds: float, tell: Callable[[str], None]) -> None:
        """Take in what the stages wrote, for about `seconds`."""
        for message in self._consumer.consume(500, seconds):
            if message.error() is not None:
                self._skipper.skipped(message)
                continue
            if message.key() is None:
                continue
            # The case id is the key of every topic of events, so nothing needs to be decoded.
            journey = self._journeys.seen(
                message.key().decode("ascii", "replace"), self._step_of[message.topic()], time.monotonic()
            )
            if journey is not None:
                self._note(journey, self._step_of[message.topic()])
        for journey in self._journeys.lost(time.monotonic()):
            LOST.labels(journey.lane).inc()
            tell(f"lost: case {journey.case_id} ({journey.lane}), seen by {', '.join(journey.seen) or 'no stage'}")

    def _note(self, journey: Journey, step: str) -> None:
        STEP.labels(step, journey.lane).observe(journey.seen[step])
        if journey.arrived:
            LATEST.labels(journey.lane).set(max(journey.seen.values()))

    def _assign(self, settings: Settings) -> None:
        metadata = admin_client(settings.bootstrap_servers).list_topics(timeout=10)
        places = [
            TopicPartition(topic, number, OFFSET_END)
            for topic in self._step_of
            if topic in metadata.topics
            for number in metadata.topics[topic].partitions
        ]
        self._consumer.assign(places)
        # The end is looked up when the first fetch is answered: a case published before that could be missed.
        ends = {(place.topic, place.partition) for place in places}
        until = time.monotonic() + 10
        while ends and time.monotonic() < until:
            for message in self._consumer.consume(500, 0.1):
                ends.discard((message.topic(), message.partition()))
