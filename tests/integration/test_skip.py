"""`vigia skip` on a real pipeline: the record is laid aside once, people are asked, and the chain holds."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.system.programs import WORKERS
from ops.system.system import Options, System
from schemas.envelope.partitioner import partition_of_case
from schemas.events import CaseEvent, GradingKind, Lane
from streams import topics
from streams.broker.positions import committed_offsets
from streams.runtime.skip import bounds
from tests.integration.cases import Publisher
from tests.integration.conftest import PARTITIONS
from tests.integration.watcher import Watcher
from tests.programs import VIGIA
from tests.services import RegistryService

WORKER = "inference-routine"
GROUP = f"vigia-{WORKER}"
TOPIC = topics.CASES[Lane.ROUTINE]
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def system(registry: RegistryService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A broker and workers of its own: its audit is verified as a whole, and its workers are killed."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    if cache := os.environ.get("VIGIA_CACHE_DIR"):
        env["VIGIA_CACHE_DIR"] = cache
    env |= {"VIGIA_PARTITIONS": str(PARTITIONS), "VIGIA_SCHEMA_REGISTRY_URL": registry.url}
    with System(Options(run_dir=tmp_path_factory.mktemp("skip"), programs=WORKERS), lambda _: None, env=env) as running:
        yield running


def vigia(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*VIGIA, *arguments]
    return subprocess.run(
        command, env=system.process_environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def stands_at(system: System, partition: int) -> int:
    servers = system.settings.bootstrap_servers
    return committed_offsets(servers, GROUP, [TOPIC], partition).get(TOPIC, 0)


def case_on(publisher: Publisher, partition: int) -> CaseEvent:
    while True:
        case = publisher.case()
        if partition_of_case(case.case_id.bytes, PARTITIONS) == partition:
            return case


def test_a_record_is_skipped_by_hand_and_everything_else_goes_on(system: System) -> None:
    publisher = Publisher.of(system.settings)
    servers = system.settings.bootstrap_servers
    with Watcher(system.settings) as watcher:
        first, skipped, behind = (case_on(publisher, 1) for _ in range(3))
        publisher.send_case(first)
        until(lambda: stands_at(system, 1) > 0)
        # A worker that stands still before the record: so do its heartbeats, and it is not missed yet.
        worker = system.workers[WORKER]
        worker.pause()
        publisher.send_case(skipped)
        publisher.send_case(behind)
        offset = stands_at(system, 1)
        until(lambda: bounds(servers, TOPIC, 1)[1] >= offset + 2)
        wrong = vigia(system, "skip", TOPIC, "1", str(offset + 1), "--reason", "a test")
        assert (wrong.returncode, "nothing was skipped" in wrong.stderr) == (1, True)
        ordered = vigia(system, "skip", TOPIC, "1", str(offset), "--reason", "a test", "--wait", "0")
        assert (ordered.returncode, "ordered" in ordered.stdout) == (1, True), ordered.stderr
        worker.signal(signal.SIGKILL)
        (finding,) = watcher.of(behind.case_id, topics.GRADINGS)
        assert finding.kind is not GradingKind.QUARANTINE
        (asked,) = watcher.of(skipped.case_id, topics.GRADINGS)
        assert asked.kind is GradingKind.QUARANTINE
    (letter,) = vigia(system, "dead-letters", "list", "--reason", "skipped", "--json").stdout.splitlines()
    assert (json.loads(letter)["stage"], json.loads(letter)["reason"]) == (WORKER, "skipped")
    again = vigia(system, "skip", TOPIC, "1", str(offset), "--reason", "a test")
    assert (again.returncode, "nothing was skipped" in again.stderr) == (1, True)
    verified = vigia(system, "audit", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("vigia.nowhere", "0", "0", "--reason", "x"), "no stage reads"),
        ((TOPIC, "0", "0", "--reason", "two\nlines"), "one line"),
        ((TOPIC, "0", "0"), "--reason"),
    ],
)
def test_what_cannot_be_skipped_is_refused_before_anything_is_asked(
    arguments: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    env = {**os.environ, "VIGIA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "VIGIA_RUN_DIR": str(tmp_path)}
    refused = subprocess.run(
        [*VIGIA, "skip", *arguments], env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert refused.returncode == 2
    assert text in refused.stderr
