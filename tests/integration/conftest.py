"""The whole pipeline for tests: real worker processes over the session's broker and registry."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.system.system import Options, System
from tests.integration.watcher import Watcher
from tests.services import KafkaService, RegistryService

PARTITIONS = 4


def environment(kafka: KafkaService, registry: RegistryService, **more: str) -> dict[str, str]:
    """The environment of a system over these services."""
    return {
        **os.environ,
        "VIGIA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "VIGIA_SCHEMA_REGISTRY_URL": registry.url,
        "VIGIA_PARTITIONS": str(PARTITIONS),
        **more,
    }


@pytest.fixture(scope="session")
def pipeline(
    kafka: KafkaService, registry: RegistryService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """All stages, one worker each, for the session. A test uses cases of its own."""
    told: list[str] = []
    run_dir: Path = tmp_path_factory.mktemp("pipeline")
    with System(Options(run_dir=run_dir), told.append, env=environment(kafka, registry)) as system:
        yield system
    assert not [line for line in told if "exit code" in line], f"workers ended by themselves: {told}"


@pytest.fixture(scope="session")
def watcher(pipeline: System) -> Iterator[Watcher]:
    """Sees everything that the pipeline publishes."""
    with Watcher(pipeline.settings) as watching:
        yield watching
