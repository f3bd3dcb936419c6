"""The exporter as Prometheus meets it: over HTTP, as a process of its own, also when the broker goes away."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from ops.embedded import EmbeddedError, EmbeddedKafka
from ops.embedded.admin import SILENT
from ops.lag.lag_metrics import FAMILIES
from tests.programs import start_vigia

Samples = dict[str, dict[tuple[tuple[str, str], ...], float]]


@contextmanager
def exporter(bootstrap_servers: str, target: Path, *more: str) -> Iterator[Callable[[], Samples]]:
    """A running `vigia lag-exporter`; yields a scrape."""
    env = {**os.environ, "VIGIA_BOOTSTRAP_SERVERS": bootstrap_servers}
    arguments = ("lag-exporter", "--port", "0", "--no-clinical", "--metrics-target", str(target), *more)
    process = start_vigia(*arguments, env=env, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().strip()
        assert url.startswith("http://127.0.0.1:"), "it binds to loopback and prints where"
        yield lambda: scrape(url)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0


def scrape(url: str) -> Samples:
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


#: A broker that starts again on a busy machine, and an exporter that finds it, take a few seconds to half a minute.
PATIENCE_S = 120.0


def until(scraped: Callable[[], Samples], condition: Callable[[Samples], bool]) -> Samples:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        samples = scraped()
        if condition(samples):
            return samples
        time.sleep(0.3)
    raise AssertionError(f"not within {PATIENCE_S:.0f} s")


def is_up(samples: Samples) -> bool:
    return samples["vigia_lag_exporter_up"][()] == 1


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of this module's own, since it is taken away."""
    try:
        kafka = EmbeddedKafka(tmp_path_factory.mktemp("exporter")).start()
    except EmbeddedError as error:
        pytest.skip(f"no broker of one's own: {error}")
    yield kafka
    kafka.stop()


def test_groups_that_anybody_invents_are_not_served_and_too_many_are_counted(
    own_kafka: EmbeddedKafka, tmp_path: Path
) -> None:
    address = own_kafka.bootstrap_servers
    admin = AdminClient({"bootstrap.servers": address}, logger=SILENT)
    admin.create_topics([NewTopic("invented", 1, 1)])["invented"].result(30)
    names = [f"{kind}-{number}" for kind in ("other", "vigia") for number in range(40)]
    held = [TopicPartition("invented", 0, 0)]
    for name in names:
        for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(name, held)]).values():
            future.result(30)
    with exporter(address, tmp_path / "lag.json", "--max-groups", "10") as scraped:
        samples = until(scraped, lambda found: found.get("vigia_lag_exporter_groups_left_out", {}).get((), 0) == 30)
    served = {dict(labels)["consumergroup"] for labels in samples["kafka_consumergroup_lag"]}
    assert len(served) == 10
    assert all(name.startswith("vigia-") for name in served)


def test_figures_vanish_with_the_broker_and_come_back_with_it(own_kafka: EmbeddedKafka, tmp_path: Path) -> None:
    address = own_kafka.bootstrap_servers
    admin = AdminClient({"bootstrap.servers": address}, logger=SILENT)
    admin.create_topics([NewTopic("t", 2, 1)])["t"].result(30)
    producer = Producer({"bootstrap.servers": address}, logger=SILENT)
    for _ in range(5):
        producer.produce("t", b"x", partition=0)
    producer.flush(30)
    held = [TopicPartition("t", 0, 2), TopicPartition("t", 1, 0)]
    for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions("readers", held)]).values():
        future.result(30)
    place = (("consumergroup", "readers"), ("partition", "0"), ("topic", "t"))
    target = tmp_path / "lag.json"
    with exporter(address, target, "--groups", ".*") as scraped:
        samples = until(scraped, lambda found: found.get("kafka_consumergroup_lag", {}).get(place) == 3)
        assert target.exists()
        assert {family.name for family in FAMILIES} <= samples.keys()
        assert samples["vigia_lag_exporter_figures_age_seconds"][()] < 8
        assert not any(value != value for family in samples.values() for value in family.values()), "never NaN"
        own_kafka.brokers[0].kill()
        gone = until(scraped, lambda found: not is_up(found))
        assert "kafka_consumergroup_lag" not in gone
        assert "vigia_lag_exporter_figures_age_seconds" not in gone
        assert gone["vigia_lag_exporter_refresh_failures_total"][()] > 0
        own_kafka.brokers[0].start()
        back = until(scraped, is_up)
        assert back["kafka_consumergroup_lag"][place] == 3
