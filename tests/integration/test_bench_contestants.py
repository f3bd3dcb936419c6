"""The benchmark's contestants do their work for real: every case of a backlog comes out of each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.bench import rivals
from ops.bench.contestant import Contestant
from ops.bench.latency import emergencies
from ops.bench.load import Stored, store_pictures
from ops.bench.on_celery import OnCelery, redis_server
from ops.bench.on_kafka import Rival
from ops.bench.rounds import backlog
from ops.system.system import Options, System
from tests.integration.conftest import environment
from tests.services import KafkaService, RegistryService

CASES = 40
RIVALS: dict[str, Callable[[System], Contestant]] = {
    "plain loop, transactions": lambda system: Rival(system, "plain loop", "plain", "transactions"),
    "plain loop, at least once": lambda system: Rival(system, "plain loop", "plain", "at-least-once"),
    "stock Faust": lambda system: Rival(system, "stock Faust", "stock_faust"),
}


@pytest.fixture(scope="module")
def system(
    kafka: KafkaService, registry: RegistryService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """No workers of ours: the contestants bring their own."""
    options = Options(run_dir=tmp_path_factory.mktemp("bench"), programs=())
    with System(options, lambda _: None, env=environment(kafka, registry, VIGIA_HEAT_MAPS="off")) as system:
        yield system


@pytest.fixture(scope="module")
def stored(system: System) -> Stored:
    """Small pictures: this is no measurement."""
    return store_pictures(system.settings, side=160)


@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_on_kafka_finishes_a_backlog(name: str, system: System, stored: Stored) -> None:
    measured = backlog(RIVALS[name](system), stored, CASES)
    assert measured.rate > 0
    # A light stage's share of so few cases is less than a tick of the processor's clock.
    assert sum(measured.cpu_s_per_1000.values()) > 0
    assert len(measured.cpu_s_per_1000) == 1 + len(rivals.FLOW)


@pytest.mark.needs("redis-server")
def test_celery_finishes_a_backlog_and_answers_emergencies(system: System, stored: Stored, tmp_path: Path) -> None:
    server, url = redis_server(tmp_path)
    server.start()
    try:
        celery = OnCelery(system, server, url, concurrency=1)
        assert backlog(celery, stored, CASES).rate > 0
        celery.listen()
        celery.start()
        try:
            found = emergencies(celery, stored, 3, waiting=10)
        finally:
            celery.stop()
        assert (found.count, found.lost) == (3, 0)
    finally:
        server.stop()
