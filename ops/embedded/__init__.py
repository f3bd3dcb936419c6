"""Kafka and a schema registry on this machine, with no Java, Maven or Docker installed."""

from ops.embedded.errors import EmbeddedError
from ops.embedded.kafka import EmbeddedKafka
from ops.embedded.pins import KAFKA_VERSIONS
from ops.embedded.registry import EmbeddedRegistry

__all__ = ["KAFKA_VERSIONS", "EmbeddedError", "EmbeddedKafka", "EmbeddedRegistry"]
