"""Kafka and a schema registry on this machine, with no Java, Maven or Docker installed."""

from ops.embedded.errors import EmbeddedError
from ops.embedded.kafka import EmbeddedKafka
from ops.embedded.registry import EmbeddedRegistry

__all__ = ["EmbeddedError", "EmbeddedKafka", "EmbeddedRegistry"]
