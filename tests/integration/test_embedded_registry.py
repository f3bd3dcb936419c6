"""The embedded schema registry, asked with the client that the pipeline uses."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from ops.embedded import EmbeddedRegistry

FIRST = '{"type": "record", "name": "Case", "fields": [{"name": "id", "type": "string"}]}'
INCOMPATIBLE = '{"type": "record", "name": "Case", "fields": [{"name": "id", "type": "int"}]}'


def test_schemas_survive_a_stop_and_a_start_on_the_same_port(tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path) as registry:
        url = registry.url
        number = SchemaRegistryClient({"url": url}).register_schema("cases-value", Schema(FIRST, "AVRO"))
        registry.stop()
        registry.start()
        assert registry.url == url
        # A new client: the old one would answer from its cache.
        assert SchemaRegistryClient({"url": url}).get_schema(number).schema_type == "AVRO"


def test_an_incompatible_schema_is_refused_by_default(tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path) as registry:
        client = SchemaRegistryClient({"url": registry.url})
        client.register_schema("cases-value", Schema(FIRST, "AVRO"))
        with pytest.raises(SchemaRegistryError) as refused:
            client.register_schema("cases-value", Schema(INCOMPATIBLE, "AVRO"))
        assert refused.value.http_status_code == 409


def test_it_listens_on_loopback_only(tmp_path: Path) -> None:
    with EmbeddedRegistry(tmp_path) as registry:
        connections = psutil.Process(registry.process.pid).net_connections(kind="tcp")
        assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} == {"127.0.0.1"}
