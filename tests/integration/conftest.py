"""The whole pipeline for tests: real worker processes over the session's broker and registry."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from ops.system.system import Options, System
from tests.integration.watcher import Watcher
from tests.scheduling import group_of
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


class _Shared:
    """The pipeline of several files: it ends with the last of them, and takes no processor time from what follows."""

    def __init__(self) -> None:
        self.running: System | None = None
        self.said: list[str] = []
        self.goes_on = False
        self._stack = ExitStack()

    def start(self, options: Options, env: Mapping[str, str]) -> System:
        self.said.clear()
        self.running = self._stack.enter_context(System(options, self.said.append, env=dict(env)))
        return self.running

    def stop(self) -> None:
        self.running = None
        self._stack.close()
        assert not [line for line in self.said if "exit code" in line], f"workers ended by themselves: {self.said}"


_shared = _Shared()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Note whether the file that comes next uses the shared pipeline too, before the fixtures of this one end."""
    _shared.goes_on = nextitem is not None and group_of(nextitem.nodeid) == "pipeline"


@pytest.fixture(scope="module")
def pipeline(
    kafka: KafkaService, registry: RegistryService, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """All stages, one worker each, for the files of the group `pipeline`. A test uses cases of its own."""
    options = Options(run_dir=tmp_path_factory.mktemp("pipeline"))
    yield _shared.running or _shared.start(options, environment(kafka, registry))
    if not _shared.goes_on:
        _shared.stop()


@pytest.fixture(scope="module")
def watcher(pipeline: System) -> Iterator[Watcher]:
    """Sees everything that the pipeline publishes."""
    with Watcher(pipeline.settings) as watching:
        yield watching
