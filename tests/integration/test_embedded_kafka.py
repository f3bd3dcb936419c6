"""The embedded cluster as its users need it: whatever ports are taken, whatever dies."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from ops.embedded import EmbeddedKafka

SILENT = logging.getLogger("silent")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def eventually(condition: Callable[[], bool], within_s: float = 60.0) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


def create(bootstrap_servers: str, topic: str, replication: int) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap_servers}, logger=SILENT)
    admin.create_topics([NewTopic(topic, 1, replication)])[topic].result(30)


def produce(
    bootstrap_servers: str, topic: str, values: list[str], on_acked: Callable[[int], None] | None = None
) -> None:
    """Produce with acks from all in-sync replicas; returns when all are acknowledged."""
    failures: list[object] = []
    producer = Producer(
        {"bootstrap.servers": bootstrap_servers, "enable.idempotence": True, "linger.ms": 0}, logger=SILENT
    )
    for number, value in enumerate(values):
        producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
        assert producer.flush(60) == 0
        if on_acked is not None:
            on_acked(number)
    assert not failures


def read_all(bootstrap_servers: str, topic: str, count: int) -> list[str]:
    consumer = Consumer(
        {"bootstrap.servers": bootstrap_servers, "group.id": f"{topic}-reader", "auto.offset.reset": "earliest"},
        logger=SILENT,
    )
    consumer.subscribe([topic])
    values: list[str] = []
    try:
        while len(values) < count:
            message = consumer.poll(30)
            assert message is not None, f"only {len(values)} of {count}"
            assert message.error() is None
            values.append(message.value().decode())
    finally:
        consumer.close()
    return values


@pytest.fixture
def known_ports_taken() -> Iterator[None]:
    """The ports that people know are in use, by us or by what runs on this machine anyway."""
    with ExitStack() as stack:
        for port in (9092, 9093, 8080, 8081, 9090):
            holder = stack.enter_context(socket.socket())
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                holder.bind(("127.0.0.1", port))
                holder.listen()
            except OSError:
                continue
        yield


def test_it_starts_beside_whatever_holds_the_known_ports(tmp_path: Path, known_ports_taken: None) -> None:
    with EmbeddedKafka(tmp_path) as kafka:
        create(kafka.bootstrap_servers, "cases", 1)
        produce(kafka.bootstrap_servers, "cases", ["a", "b"])
        assert read_all(kafka.bootstrap_servers, "cases", 2) == ["a", "b"]
        listening = psutil.Process(kafka.brokers[0].process.pid).net_connections(kind="tcp")
        assert {c.laddr.ip for c in listening if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_a_killed_broker_comes_back_on_its_port_with_its_records(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path) as kafka:
        create(kafka.bootstrap_servers, "cases", 1)
        produce(kafka.bootstrap_servers, "cases", ["a"])
        address = kafka.bootstrap_servers
        kafka.broker(1).kill()
        kafka.broker(1).start()
        assert kafka.bootstrap_servers == address
        assert read_all(address, "cases", 1) == ["a"]


def test_a_paused_broker_is_silent_until_it_is_resumed(tmp_path: Path) -> None:
    with EmbeddedKafka(tmp_path) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}, logger=SILENT)
        kafka.broker(1).pause()
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=1)
        kafka.broker(1).resume()
        assert admin.list_topics(timeout=30).brokers


def test_another_start_finds_the_topics_of_the_last(tmp_path: Path) -> None:
    for number in range(2):
        with EmbeddedKafka(tmp_path) as kafka:
            if number == 0:
                create(kafka.bootstrap_servers, "cases", 1)
                produce(kafka.bootstrap_servers, "cases", ["a"])
            else:
                assert read_all(kafka.bootstrap_servers, "cases", 1) == ["a"]


def test_a_killed_parent_leaves_no_broker_behind(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ops.embedded import EmbeddedKafka\n"
        "kafka = EmbeddedKafka(Path(sys.argv[1])).start()\n"
        "print(kafka.brokers[0].process.pid, flush=True)\n"
        "time.sleep(300)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        broker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    assert eventually(lambda: not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE)


def test_three_brokers_lose_nothing_that_was_acknowledged_when_a_leader_is_killed(tmp_path: Path) -> None:
    values = [str(number) for number in range(60)]
    with EmbeddedKafka(tmp_path, brokers=3) as kafka:
        create(kafka.bootstrap_servers, "cases", 3)
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers}, logger=SILENT)
        leader = kafka.broker(admin.list_topics("cases", timeout=30).topics["cases"].partitions[0].leader)
        produce(
            kafka.bootstrap_servers, "cases", values, on_acked=lambda number: leader.kill() if number == 20 else None
        )
        leader.start()
        assert read_all(kafka.bootstrap_servers, "cases", len(values)) == values
        in_sync = lambda: len(admin.list_topics("cases", timeout=30).topics["cases"].partitions[0].isrs)  # noqa: E731
        assert eventually(lambda: in_sync() == 3)


def test_a_cluster_id_that_begins_with_a_dash_is_no_option(tmp_path: Path) -> None:
    # Ids are drawn at random: one in 64 does.
    (tmp_path / "cluster.id").write_text("-BCdefghijklmnopqrstuA")
    broker = EmbeddedKafka(tmp_path, 1)
    broker.prepare()
    try:
        broker.start()
        assert broker.bootstrap_servers
    finally:
        broker.stop()
