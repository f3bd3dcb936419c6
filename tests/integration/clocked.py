"""A broker of its own with the escalation stage as real processes: here time may be told, and workers may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from ops.system.system import Options, System
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER, partition_of
from schemas.events import EscalationType, GradingEvent, TickEvent
from schemas.serde import Serde
from streams import topics
from streams.settings import Settings
from streams.stages.escalation.stage import EscalationStage
from tests.integration.watcher import Seen, Watcher
from tests.services import RegistryService
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import grading

#: Every channel of the packaged policy.
CHANNELS = ("#emergencias", "#especialistas", "#equipo-medico", "#riesgo-alto", "#sistema-alertas")


class Clocked:
    """Publishes gradings and ticks; starts and kills workers of the escalation stage."""

    def __init__(self, system: System, watcher: Watcher, folder: Path) -> None:
        self.settings: Settings = system.settings
        self.env = {**os.environ, **system.environment}
        self.watcher = watcher
        self.workers: list[subprocess.Popen[bytes]] = []
        self._serde = Serde(self.settings.schema_registry_url)
        self._folder = folder
        self._producer = Producer(
            {"bootstrap.servers": self.settings.bootstrap_servers, "log_level": 0, **LIBRDKAFKA_PARTITIONER}
        )

    def start_worker(self) -> subprocess.Popen[bytes]:
        log = (self._folder / "workers.log").open("ab")
        command = [sys.executable, "-m", "ops", "worker", "escalation"]
        worker = subprocess.Popen(command, env=self.env, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    def kill_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def grade(self, event: GradingEvent) -> GradingEvent:
        self._send(topics.GRADINGS, self._serde.encode(event, topics.GRADINGS), key=str(event.case_id).encode())
        return event

    def tick(self, case_id: UUID, now: datetime) -> None:
        value = self._serde.encode(TickEvent(now=now), topics.TICKS)
        number = partition_of(str(case_id).encode(), self.settings.partitions)
        self._producer.produce(topics.TICKS, value, partition=number, timestamp=int(now.timestamp() * 1000))
        assert self._producer.flush(30) == 0

    def partition_of(self, case_id: UUID) -> int:
        """The partition of the case in every topic."""
        return partition_of(str(case_id).encode(), self.settings.partitions)

    def write_state(self, case_id: UUID, key: bytes, value: bytes) -> None:
        """Write an entry to the case's partition of the escalation stage's state topic."""
        topic = f"vigia.{EscalationStage.name}.state"
        self._producer.produce(topic, value, key, partition=self.partition_of(case_id))
        assert self._producer.flush(30) == 0

    def stamp_ticks(self, how: str) -> None:
        """Who stamps ticks: `LogAppendTime` is how the topic is made; `CreateTime` lets a test tell the time."""
        entry = ConfigEntry("message.timestamp.type", how, incremental_operation=AlterConfigOpType.SET)
        bounds = ConfigEntry("message.timestamp.after.max.ms", str(2**62), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topics.TICKS, incremental_configs=[entry, bounds])
        admin = AdminClient({"bootstrap.servers": self.settings.bootstrap_servers})
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(30)

    def escalated(self, case_id: UUID, count: int) -> list[Seen]:
        """Published escalations of the case, as soon as there are `count`."""
        return self.watcher.until(lambda seen: is_escalation(seen, case_id), count, what="escalations")

    def all_escalated(self, case_id: UUID) -> list[Seen]:
        """Published escalations of the case, once nothing more comes."""
        return [seen for seen in self.watcher.settle() if is_escalation(seen, case_id)]

    def outcomes(self, case_id: UUID) -> list[str]:
        """Outcomes of the case's audit entries so far."""
        found = [seen.event for seen in self.watcher.records if seen.topic == topics.AUDIT and seen.event]
        return [entry.outcome for entry in found if entry.case_id == case_id]

    def _send(self, topic: str, value: bytes, key: bytes) -> None:
        self._producer.produce(topic, value, key=key)
        assert self._producer.flush(30) == 0


def is_escalation(seen: Seen, case_id: UUID) -> bool:
    return seen.topic in topics.ESCALATIONS.values() and seen.event is not None and seen.event.case_id == case_id


def emergency(case_id: UUID | None = None, *, within_s: int = 300, every_s: int = 120) -> GradingEvent:
    """A stage 4 that asks for an emergency escalation only, graded now."""
    made = grading(decision("stage_4"))
    (asked,) = (each for each in made.escalations if each.type is EscalationType.EMERGENCY)
    asked = replace(asked, respond_within_s=within_s, reescalate_every_s=every_s)
    return replace(
        made,
        event_id=uuid4(),
        case_id=case_id or uuid4(),
        source_event_id=uuid4(),
        graded_at=datetime.now(UTC),
        escalations=(asked,),
    )


@contextmanager
def clocked_system(registry: RegistryService, folder: Path) -> Iterator[Clocked]:
    """No worker runs yet; those that are started are killed at the end."""
    env = {name: value for name, value in os.environ.items() if name != "VIGIA_BOOTSTRAP_SERVERS"}
    env["VIGIA_SCHEMA_REGISTRY_URL"] = registry.url
    options = Options(run_dir=folder / "run", programs=())
    with System(options, lambda _: None, env=env) as system, Watcher(system.settings) as watcher:
        clocked = Clocked(system, watcher, folder)
        try:
            yield clocked
        finally:
            clocked.kill_workers()
