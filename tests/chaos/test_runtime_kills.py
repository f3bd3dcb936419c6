"""Workers of a stage with state, killed at random and paused until they are zombies.

Nothing may be lost, nothing doubled, every count exact, and the order of each case kept. Each fault waits until all
workers hold partitions and events are in flight: a kill while nothing is processed proves nothing.
"""

from __future__ import annotations

import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.serde import Serde
from tests.counting import IN, IN_TOO, OUT, STATE, TOPICS, case
from tests.services import KafkaService, RegistryService

SEED = 20_261_124
EVENTS = 2_000
PARTITIONS = 4
WORKERS = 2
KILLS = 4
#: Longer than the session timeout of 6 s: another worker has the partitions by then, and what the paused one still
#: holds must not be written.
PAUSE_S = 8.0
COMPACTED = {"cleanup.policy": "compact"}
HOLDING = re.compile(rb"holding partitions \[([^\]]*)\] of generation (\d+)")


class Workers:
    """Worker processes that are started again when they are killed."""

    def __init__(self, count: int, kafka: KafkaService, registry: RegistryService, folder: Path, *more: str) -> None:
        stage = "tests.chaos.counting_stage"
        self._command = [sys.executable, "-m", stage, kafka.bootstrap_servers, registry.url, *more]
        self._folder = folder
        self._logs: dict[int, Path] = {}
        self._starts = 0
        self.processes = [self._start(number) for number in range(count)]

    def _start(self, number: int) -> subprocess.Popen[bytes]:
        self._starts += 1
        self._logs[number] = self._folder / f"worker-{number}-{self._starts}.log"
        log = self._logs[number].open("wb")
        return subprocess.Popen(self._command, stdout=log, stderr=log)

    def settled(self) -> bool:
        """Whether the workers, as they told last, hold all partitions together in one generation."""
        told = [HOLDING.findall(log.read_bytes()) for log in self._logs.values()]
        if not all(told):
            return False
        last = [lines[-1] for lines in told]
        held = [number for numbers, _ in last for number in numbers.split(b", ") if number]
        return len({generation for _, generation in last}) == 1 and len(held) == PARTITIONS

    def told(self, line: bytes) -> int:
        """How often the workers that run now have logged something."""
        return sum(log.read_bytes().count(line) for log in self._logs.values())

    def kill(self, number: int) -> None:
        self.processes[number].kill()
        self.processes[number].wait()
        self.processes[number] = self._start(number)

    def pause(self, number: int) -> None:
        self.processes[number].send_signal(signal.SIGSTOP)
        time.sleep(PAUSE_S)
        self.processes[number].send_signal(signal.SIGCONT)

    def stop(self) -> list[int]:
        for process in self.processes:
            process.terminate()
        return [process.wait(90) for process in self.processes]


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


class Faults(threading.Thread):
    """Kills, with one pause among them, each once the workers have settled from the last."""

    def __init__(self, workers: Workers, rng: random.Random) -> None:
        super().__init__()
        self._workers = workers
        self._rng = rng
        self.done: list[str] = []

    def run(self) -> None:
        for fault in ("kill", "kill", "pause", *["kill"] * (KILLS - 2)):
            if not self._wait_until_settled():
                return
            # A random moment within several commit intervals, so that kills hit transactions in all their phases.
            time.sleep(self._rng.uniform(0.3, 1.3))
            victim = self._rng.randrange(WORKERS)
            if fault == "kill":
                self._workers.kill(victim)
            else:
                self._workers.pause(victim)
            self.done.append(f"{fault} {victim}")
        self._wait_until_settled()

    def _wait_until_settled(self) -> bool:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if self._workers.settled():
                return True
            time.sleep(0.1)
        return False


def published(serde: Serde, kafka: KafkaService, faults: Faults, rng: random.Random) -> dict[UUID, list[UUID]]:
    """Publish at a steady rate while faults happen; case → event ids in the order of publishing, one topic a case."""
    producer = Producer(
        {"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random", "enable.idempotence": True}
    )
    cases = [(UUID(int=rng.getrandbits(128)), rng.choice((IN, IN_TOO))) for _ in range(60)]
    sent: dict[UUID, list[UUID]] = defaultdict(list)
    count = 0
    while count < EVENTS or faults.is_alive():
        case_id, topic = rng.choice(cases)
        event = case(case_id, UUID(int=rng.getrandbits(128)))
        producer.produce(topic, serde.encode(event, topic), key=str(case_id).encode())
        sent[case_id].append(event.event_id)
        count += 1
        producer.poll(0)
        # Load, not a wait: events must be in flight when a worker dies.
        time.sleep(0.008)
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
    while time.monotonic() - quiet_since < (120 if seen < expected else 2):
        message = consumer.poll(0.5)
        if message is None or message.error() is not None:
            continue
        event = serde.decode(message.value(), message.topic())
        if event.case_id not in sent:  # type: ignore[attr-defined]
            continue
        counts[event.case_id].append(int(event.attributes["count"]))  # type: ignore[attr-defined]
        sources[event.case_id].append(event.source_event_id)  # type: ignore[attr-defined]
        seen, quiet_since = seen + 1, time.monotonic()
    consumer.close()
    return counts, sources


def test_nothing_is_lost_doubled_or_reordered_when_workers_are_killed(
    kafka: KafkaService, registry: RegistryService, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    rng = random.Random(SEED)
    serde = Serde(registry.url)
    serde.register_all(TOPICS)
    with topics(kafka):
        workers = Workers(WORKERS, kafka, registry, tmp_path)
        try:
            faults = Faults(workers, random.Random(SEED))
            faults.start()
            sent = published(serde, kafka, faults, rng)
            counts, sources = committed(serde, kafka, sent)
        finally:
            codes = workers.stop()
    lost = [event for case_id, events in sent.items() for event in set(events) - set(sources[case_id])]
    doubled = [event for events in sources.values() for event, times in Counter(events).items() if times > 1]
    total = sum(map(len, sent.values()))
    figures = f"seed {SEED}: {total} events, {faults.done}: {len(lost)} lost, {len(doubled)} doubled"
    record_property("figures", figures)
    assert len(faults.done) == KILLS + 1, figures
    assert not lost, figures
    assert not doubled, figures
    assert sources == sent, "the order within a case was not kept"
    assert all(counted == list(range(1, len(counted) + 1)) for counted in counts.values())
    assert codes == [0] * WORKERS
