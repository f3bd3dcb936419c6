"""Measures the escalation clock: restoring 10,000 open escalations, their memory, how late 1,000 equal deadlines fire.

Run: `python -m ops.bench.clock [OPEN] [DUE]`. It starts a broker, a registry and one escalation worker of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any
from uuid import uuid4

import click
import psutil
from confluent_kafka import Consumer, Producer, TopicPartition

from ops.system.system import Options, System
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from schemas.events import EscalationEvent, EscalationType, GradingEvent, GradingKind, Lane, PatientContext, StageClass
from schemas.serde import Serde
from streams import topics
from streams.clinical.decide import decide
from streams.clinical.lesions import RawFinding
from streams.stages.grading.events import grading_event
from streams.stages.policy.file import packaged_policy

PATIENCE_S = 120.0
#: Gradings published before their escalations are awaited: the clock is measured here, not a backlog.
CHUNK = 500


def main(count: int = 10_000, due: int = 1_000) -> None:
    """Print the figures as one JSON object."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(run_dir=Path(folder) / "run", programs=())
        with System(options, partial(click.echo, err=True)) as system:
            click.echo(json.dumps(_measure(system, count, due)))


def _measure(system: System, count: int, due: int) -> dict[str, object]:
    settings = system.settings
    serde = Serde(settings.schema_registry_url)
    follow = Consumer(
        {
            "bootstrap.servers": settings.bootstrap_servers,
            "group.id": "bench",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 20,
        }
    )
    follow.assign([TopicPartition(topics.ESCALATIONS_EMERGENCY, part, 0) for part in range(settings.partitions)])
    figures: dict[str, object] = {"open": count, "due": due}
    worker = _start(system)
    try:
        figures["memory_empty_mib"] = _ready(system, worker)[1]
        started = time.perf_counter()
        for first in range(0, count, CHUNK):
            chunk = [_grading(86_400) for _ in range(min(CHUNK, count - first))]
            _publish(system, serde, chunk)
            _await(follow, serde, len(chunk), level=0)
        figures["opening_s"] = round(time.perf_counter() - started, 1)
        worker.terminate()
        worker.wait(30)
        worker = _start(system)
        figures["restart_s"], figures["memory_open_mib"] = _ready(system, worker)
        # All graded at the same time, so they fall due at the same instant.
        at = datetime.now(UTC)
        _publish(system, serde, [replace(_grading(25), graded_at=at) for _ in range(due)])
        _await(follow, serde, due, level=0)
        raised = _await(follow, serde, due, level=1)
        deadline = (at + timedelta(seconds=25)).timestamp()
        lateness = sorted(seen_at - deadline for seen_at in raised)
        cuts = quantiles(lateness, n=100)
        figures["late_p50_s"], figures["late_p99_s"] = round(cuts[49], 2), round(cuts[98], 2)
    finally:
        worker.kill()
        worker.wait()
        follow.close()
    return figures


def _start(system: System) -> subprocess.Popen[bytes]:
    (system.run_dir / "worker.log").write_bytes(b"")
    command = [sys.executable, "-m", "ops", "worker", "escalation"]
    with (system.run_dir / "worker.log").open("ab") as log:
        return subprocess.Popen(command, env={**system._env, **system.environment}, stdout=log, stderr=log)


def _ready(system: System, worker: subprocess.Popen[bytes]) -> tuple[float, float]:
    """Seconds until the worker holds all partitions with their state, and its resident memory in MiB at that time."""
    started = time.perf_counter()
    log = system.run_dir / "worker.log"
    while b"holding partitions [0, 1, 2, 3]" not in log.read_bytes():
        if worker.poll() is not None or time.perf_counter() - started > PATIENCE_S:
            raise RuntimeError(f"the worker does not serve: see {log}")
        time.sleep(0.02)
    return round(time.perf_counter() - started, 1), round(psutil.Process(worker.pid).memory_info().rss / 2**20)


def _grading(within_s: int) -> GradingEvent:
    finding = RawFinding(stage=StageClass.STAGE_4, confidence=0.9, probabilities={})
    made = decide(packaged_policy(), [finding], _CONTEXT)
    now = datetime.now(UTC)
    asked = [each for each in made.escalations if each.type is EscalationType.EMERGENCY]
    event = grading_event(
        made,
        {"case_id": uuid4(), "lane": Lane.ROUTINE, "captured_at": now, "published_at": now},
        event_id=uuid4(),
        source_event_id=uuid4(),
        kind=GradingKind.DECISION,
        graded_at=now,
        model_version=None,
    )
    return replace(
        event, escalations=tuple(replace(e, respond_within_s=within_s, reescalate_every_s=86_400) for e in asked)
    )


def _publish(system: System, serde: Serde, events: list[GradingEvent]) -> None:
    # The broker's limit on the size of a record holds for a whole batch: a burst in one larger batch would be refused.
    limits = {"batch.size": 128 * 1024}
    producer = Producer({"bootstrap.servers": system.settings.bootstrap_servers, **limits, **LIBRDKAFKA_PARTITIONER})
    for event in events:
        producer.produce(topics.GRADINGS, serde.encode(event, topics.GRADINGS), key=str(event.case_id).encode())
        producer.poll(0)
    if producer.flush(30):
        raise RuntimeError("the broker did not take all gradings")


def _await(follow: Consumer, serde: Serde, count: int, level: int) -> list[float]:
    """When each of `count` records of that level could be read, in seconds since the epoch."""
    seen: list[float] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(seen) < count:
        for message in follow.consume(500, 0.1):
            event: Any = None if message.error() is not None else serde.decode(message.value(), message.topic())
            if isinstance(event, EscalationEvent) and event.level == level:
                seen.append(time.time())
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(seen)} of {count} escalations of level {level} came")
    return seen


_CONTEXT = PatientContext()

if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
