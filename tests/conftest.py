"""Fixtures shared by all tests: real services, topics of one's own, and the order of the suites."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar
from uuid import uuid4

import hypothesis
import pytest
from confluent_kafka.admin import AdminClient, NewTopic

from ops.embedded import EmbeddedError
from tests.programs import need
from tests.scheduling import SUITES, FileScheduling, place
from tests.services import KafkaService, RegistryService, kafka_service, registry_service

# A developer may have a `vigia up` running: tests neither find it nor are found in its place. Each process of
# pytest-xdist has a folder of its own.
os.environ["XDG_DATA_HOME"] = tempfile.mkdtemp(prefix="vigia-tests-")
atexit.register(shutil.rmtree, os.environ["XDG_DATA_HOME"], ignore_errors=True)
os.environ.pop("VIGIA_RUN_DIR", None)

# How fast examples are drawn says how busy the machine is, and nothing of what is tested.
hypothesis.settings.register_profile("vigia", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("vigia")

ServiceT = TypeVar("ServiceT")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run unit, integration and chaos tests in this order, marked by the folder they live in."""
    for item in items:
        suite = SUITES[place(item.nodeid)[0]]
        if suite != "unit":
            item.add_marker(suite)
    items.sort(key=lambda item: place(item.nodeid))


def pytest_collection_finish() -> None:
    """Keep the collector from going over four thousand tests and all imports again and again: they stay anyway."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Before any fixture is made, ask whether the programs that the test needs are there."""
    for mark in item.iter_markers("needs"):
        need(*mark.args)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FileScheduling:
    """With `-n`, files are what is handed out, whatever `--dist` says."""
    return FileScheduling(config, log)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaService]:
    """A real Kafka cluster; `.bootstrap_servers`. One per session: use topics and groups of your own."""
    with _or_skip(kafka_service(tmp_path_factory.mktemp("kafka"))) as service:
        yield service


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryService]:
    """A real schema registry; `.url` is its Confluent API. One per session: use subjects of your own."""
    with _or_skip(registry_service(tmp_path_factory.mktemp("registry"))) as service:
        yield service


@pytest.fixture
def unique() -> str:
    """A prefix for topics, groups and transactional ids that no other test uses."""
    return f"t{uuid4().hex[:10]}."


@pytest.fixture
def make_topic(kafka: KafkaService, unique: str) -> Iterator[Callable[..., str]]:
    """Create a topic of this test's own: `make_topic("cases", partitions=4, config={"cleanup.policy": "compact"})`.

    Returns its name, which is the given one behind `unique`. The topics are removed after the test.
    """
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    made: list[str] = []

    def make(name: str, partitions: int = 4, config: Mapping[str, str] | None = None) -> str:
        topic = f"{unique}{name}"
        admin.create_topics([NewTopic(topic, partitions, 1, config=dict(config or {}))])[topic].result(30)
        made.append(topic)
        return topic

    yield make
    for future in (admin.delete_topics(made) if made else {}).values():
        future.exception(30)


@contextmanager
def _or_skip(service: AbstractContextManager[ServiceT]) -> Iterator[ServiceT]:
    """On a machine that cannot run the service, skip and say why; in CI that is a failure."""
    try:
        running = service.__enter__()
    except EmbeddedError as error:
        if os.environ.get("CI", "").lower() == "true":
            raise
        pytest.skip(f"no service to test against: {error}")
    try:
        yield running
    finally:
        service.__exit__(None, None, None)
