"""Broker, registry, image store, model: each goes away once. Nothing is lost, and people are asked in time."""

from __future__ import annotations

import os
import shutil
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inference import versions as models
from ops.embedded.ports import free_ports
from ops.system.programs import WORKERS
from ops.system.system import Options, System
from schemas.envelope.dead_letter import PREFIX
from schemas.events import EscalationType, Lane, ModelStatus
from streams import topics
from tests.integration.cases import Publisher
from tests.integration.watcher import Watcher
from tests.services import RegistryService

CASES = 40


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A system with a broker and a registry of its own, which a test may stop."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    with System(Options(run_dir=tmp_path / "run", programs=WORKERS), lambda line: None, env=own) as running:
        yield running


def test_a_broker_that_dies_and_comes_back_loses_and_doubles_nothing(system: System) -> None:
    publisher = Publisher.of(system.settings)
    assert system.kafka is not None
    broker = system.kafka.broker(1)
    with Watcher(system.settings) as watcher:
        first = [publisher.case() for _ in range(CASES)]
        for case in first:
            publisher.send_case(case)
        watcher.of(first[0].case_id, topics.INFERENCES)
        broker.kill()
        broker.start()
        second = [publisher.case() for _ in range(CASES // 2)]
        for case in second:
            publisher.send_case(case)
        expected = {case.event_id for case in first + second}
        watcher.until(
            lambda seen: seen.topic == topics.GRADINGS and seen.event is not None, len(expected), what="gradings"
        )
        everything = watcher.settle()
        sources = Counter(seen.event.source_event_id for seen in everything if seen.topic == topics.INFERENCES)
        assert set(sources) == expected
        assert set(sources.values()) == {1}


def test_a_registry_that_is_away_stops_no_known_event_and_an_unknown_one_reaches_people(system: System) -> None:
    publisher = Publisher.of(system.settings)
    assert system.registry is not None
    with Watcher(system.settings) as watcher:
        known = publisher.case(lane=Lane.EMERGENCY)
        publisher.send_case(known)
        watcher.of(known.case_id, topics.GRADINGS)
        system.registry.process.pause()
        try:
            served = publisher.case(lane=Lane.EMERGENCY)
            publisher.send_case(served)
            watcher.of(served.case_id, topics.GRADINGS)
            unknown = publisher.case(lane=Lane.EMERGENCY)
            value = struct.pack(">bI", 0, 424_242) + b"\x00"
            publisher.send(topics.CASES_EMERGENCY, unknown.case_id, value)
            letter = watcher.dead_letter_of(value)
            assert letter.headers[PREFIX + "reason"] == b"registry_unavailable"
            asked = watcher.of(unknown.case_id, topics.GRADINGS)[0]
            assert {request.type for request in asked.escalations} >= {
                EscalationType.HUMAN_REVIEW,
                EscalationType.SYSTEM_ERROR,
            }
        finally:
            system.registry.process.resume()


@pytest.fixture
def crippled(registry: RegistryService, tmp_path: Path) -> Iterator[System]:
    """A system whose model was tampered with, and one of whose image stores does not answer."""
    directory = tmp_path / "models"
    shutil.copytree(models.PACKAGED, directory)
    weights = directory / models.active(directory) / "model.tflite"
    data = bytearray(weights.read_bytes())
    data[len(data) // 2] ^= 0xFF
    weights.chmod(0o644)
    weights.write_bytes(data)
    images = tmp_path / "images"
    images.mkdir()
    own = {name: value for name, value in os.environ.items() if not name.startswith("VIGIA_")}
    env = {
        **own,
        "VIGIA_SCHEMA_REGISTRY_URL": registry.url,
        "VIGIA_MODEL_DIR": str(directory),
        "VIGIA_IMAGE_STORE": f"file://{images}",
        "VIGIA_IMAGE_ROOTS": f"file://{images},s3://pictures/lpp",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_ports(1)[0]}",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }
    with System(Options(run_dir=tmp_path / "run", programs=WORKERS), lambda line: None, env=env) as running:
        yield running


def test_without_a_valid_model_or_store_every_case_reaches_people_and_none_gets_a_class(crippled: System) -> None:
    publisher = Publisher.of(crippled.settings)
    with Watcher(crippled.settings) as watcher:
        unjudged = publisher.case()
        publisher.send_case(unjudged)
        inference = watcher.of(unjudged.case_id, topics.INFERENCES)[0]
        assert inference.model_status is ModelStatus.UNAVAILABLE
        assert inference.findings == ()
        grading = watcher.of(unjudged.case_id, topics.GRADINGS)[0]
        assert grading.stage is None
        within = {request.type: request.respond_within_s for request in grading.escalations}
        assert within[EscalationType.HUMAN_REVIEW] <= 900
        assert within[EscalationType.SYSTEM_ERROR] <= 900

        away = publisher.case(lane=Lane.EMERGENCY)
        away = replace(away, image=replace(away.image, uri=f"s3://pictures/lpp/{away.image.sha256}"))
        value = publisher.send_case(away)
        letter = watcher.dead_letter_of(value)
        assert letter.headers[PREFIX + "reason"] == b"store_unavailable"
        asked = watcher.of(away.case_id, topics.GRADINGS)[0]
        assert EscalationType.HUMAN_REVIEW in {request.type for request in asked.escalations}
