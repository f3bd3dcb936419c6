"""What the properties of an embedded broker promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.embedded import EmbeddedKafka
from ops.embedded.broker_config import Node, broker_properties, render
from ops.embedded.errors import EmbeddedError


def nodes(count: int) -> list[Node]:
    return [Node(node_id=n, port=20_000 + n, controller_port=21_000 + n) for n in range(1, count + 1)]


@pytest.mark.parametrize("count", [1, 3])
def test_every_listener_is_on_loopback(count: int) -> None:
    properties = broker_properties(nodes(count)[0], nodes(count), Path("/data"))
    for name in ("listeners", "advertised.listeners"):
        assert all("//127.0.0.1:" in listener for listener in properties[name].split(","))


def test_three_brokers_keep_three_copies_and_want_two_before_an_ack() -> None:
    properties = broker_properties(nodes(3)[0], nodes(3), Path("/data"))
    for kind in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
        assert properties[f"{kind}.replication.factor"] == "3"
    assert properties["default.replication.factor"] == "3"
    assert properties["min.insync.replicas"] == properties["transaction.state.log.min.isr"] == "2"


def test_one_broker_asks_for_no_more_than_itself() -> None:
    properties = broker_properties(nodes(1)[0], nodes(1), Path("/data"))
    assert properties["transaction.state.log.replication.factor"] == properties["min.insync.replicas"] == "1"


def test_a_mistyped_topic_is_not_created() -> None:
    assert broker_properties(nodes(1)[0], nodes(1), Path("/data"))["auto.create.topics.enable"] == "false"


def test_a_backslash_in_a_path_survives_java() -> None:
    assert render({"log.dirs": "/a\\b"}) == "log.dirs=/a\\\\b\n"


def test_an_accent_in_a_path_survives_java() -> None:
    assert render({"log.dirs": "/vigía/𝒳"}) == "log.dirs=/vig\\u00eda/\\ud835\\udcb3\n"


def test_a_path_that_kafka_would_take_for_two_is_refused() -> None:
    with pytest.raises(EmbeddedError, match="must be without"):
        EmbeddedKafka(Path("/a,b"))


def test_two_brokers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="1 or 3"):
        EmbeddedKafka(tmp_path, brokers=2)


def test_a_folder_of_a_cluster_of_another_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broker-1").mkdir()
    with pytest.raises(EmbeddedError, match="a cluster keeps its size"):
        EmbeddedKafka(tmp_path, brokers=3).start()
