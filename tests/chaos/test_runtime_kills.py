"""Workers of a stage with state, killed at random and paused until they are zombies.

Nothing may be lost, nothing doubled, every count exact, and the order of each case kept.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.serde import Serde
from tests.chaos.counting_stage import IN, IN_TOO, OUT, STATE, TOPICS, case
from tests.services import KafkaService, RegistryService

SEED = 20_261_124
EVENTS = 2_000
PARTITIONS = 4
#: A kill is followed by the session timeout of 6 s, a rebalance and a state restore; then the next may come.
KILLS = 4
#: One worker is stopped at this event and goes on at that one: long after the session timeout, when another has its
#: partitions. What it still holds must not be written.
PAUSE_AT, RESUME_AT = 100, 1_050
COMPACTED = {"cleanup.policy": "compact"}


class Workers:
    """Worker processes that are started again when they are killed."""

    def __init__(self, count: int, kafka: KafkaService, registry: RegistryService, folder: Path) -> None:
        self._command = [sys.executable, "-m", "tests.chaos.counting_stage", kafka.bootstrap_servers, registry.url]
        self._folder = folder
        self.processes = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        log = (self._folder / f"worker-{number}.log").open("ab")
        return subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait()
        self.processes[number] = self._start(number)

    def signal(self, number: int, what: signal.Signals) -> None:
        self.processes[number].send_signal(what)

    def stop(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        return [process.wait(30) for process in self.processes]


@contextmanager
def topics(kafka: KafkaService) -> Iterator[None]:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    config = {STATE: COMPACTED, "vigia.audit": COMPACTED}
    names = (IN, IN_TOO, OUT, STATE, "vigia.audit", "vigia.dead-letters")
    new = [NewTopic(name, PARTITIONS, 1, config=config.get(name, {})) for name in names]
    for name, future in admin.create_topics(new).items():
        if (error := future.exception(30)) is not None:
            assert "already exists" in str(error), f"{name}: {error}"
    yield


def published(serde: Serde, kafka: KafkaService, workers: Workers, rng: random.Random) -> dict[UUID, list[UUID]]:
    """Publish at a steady rate while workers die; case → event ids in the order of publishing, on one topic a case."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random", "enable.idempotence": True}
    )
    cases = [(UUID(int=rng.getrandbits(128)), rng.choice((IN, IN_TOO))) for _ in range(60)]
    sent: dict[UUID, list[UUID]] = defaultdict(list)
    kill_at = {EVENTS * number // (KILLS + 1) for number in range(1, KILLS + 1)}
    for number in range(EVENTS):
        case_id, topic = rng.choice(cases)
        event = case(case_id, UUID(int=rng.getrandbits(128)))
        for _ in range(2 if rng.random() < 0.05 else 1):
            producer.produce(topic, serde.encode(event, topic), key=str(case_id).encode())
        sent[case_id].append(event.event_id)
        producer.poll(0)
        # Load, not a wait: events must be in flight when a worker dies.
        time.sleep(0.012)
        if number in kill_at:
            workers.kill(rng.randrange(1, len(workers.processes)))
        if number in (PAUSE_AT, RESUME_AT):
            workers.signal(0, signal.SIGSTOP if number == PAUSE_AT else signal.SIGCONT)
    assert producer.flush(30) == 0
    return sent


def committed(
    serde: Serde, kafka: KafkaService, sent: Mapping[UUID, Sequence[UUID]]
) -> tuple[dict[UUID, list[int]], dict[UUID, list[UUID]]]:
    """What a read_committed consumer sees of these cases: counts and source events, in order, until a short silence."""
    expected = sum(len(events) for events in sent.values())
    consumer = Consumer(
        {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "verifier", "isolation.level": "read_committed"}
    )
    consumer.assign([TopicPartition(OUT, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    counts: dict[UUID, list[int]] = defaultdict(list)
    sources: dict[UUID, list[UUID]] = defaultdict(list)
    seen, quiet_since = 0, time.monotonic()
    # After the last expected record a moment longer: a doubled one would come now.
    while time.monotonic() - quiet_since < (40 if seen < expected else 2):
        message = consumer.poll(0.5)
        if message is None or message.error() is not None:
            continue
        event = serde.decode(message.value())
        if event.case_id not in sent:  # type: ignore[attr-defined]
            continue
        counts[event.case_id].append(int(event.attributes["count"]))  # type: ignore[attr-defined]
        sources[event.case_id].append(event.source_event_id)  # type: ignore[attr-defined]
        seen, quiet_since = seen + 1, time.monotonic()
    consumer.close()
    return counts, sources


@pytest.mark.timeout(180)
def test_nothing_is_lost_doubled_or_reordered_when_workers_are_killed(
    kafka: KafkaService, registry: RegistryService, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    serde = Serde(registry.url)
    serde.register_all(TOPICS)
    with topics(kafka):
        workers = Workers(3, kafka, registry, tmp_path)
        try:
            sent = published(serde, kafka, workers, rng)
            counts, sources = committed(serde, kafka, sent)
        finally:
            codes = workers.stop()
    lost = {case_id for case_id, events in sent.items() if set(events) - set(sources[case_id])}
    doubled = [event for events in sources.values() for event, times in Counter(events).items() if times > 1]
    figures = f"seed {SEED}: {EVENTS} events, {KILLS} kills, one zombie: {len(lost)} lost, {len(doubled)} doubled"
    record_property("figures", figures)
    assert not lost, figures
    assert not doubled, figures
    assert sources == sent, "the order within a case was not kept"
    assert all(counted == list(range(1, len(counted) + 1)) for counted in counts.values())
    assert codes == [0, 0, 0]
