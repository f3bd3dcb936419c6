"""Readers of this package: what librdkafka may hold in memory."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer

from schemas.errors import OneLineError
from streams.broker.clients import observer

Partition = tuple[str, int]


class BrokerAwayError(OneLineError):
    """The broker did not answer. The message says what was asked."""


def reading_consumer(bootstrap_servers: str, settings: Mapping[str, str | int] | None = None) -> Consumer:
    """An observer (`streams.broker.clients`) that holds little, and says so where an offset is gone."""
    return observer(
        bootstrap_servers,
        {
            "client.id": "vigia-lag",
            "auto.offset.reset": "error",
            "check.crcs": False,
            # What librdkafka may hold in its queue, and what one answer of a broker may be.
            "queued.max.messages.kbytes": 8_192,
            "fetch.max.bytes": 8 << 20,
            "max.partition.fetch.bytes": 1 << 20,
            "fetch.wait.max.ms": 100,
            "topic.metadata.refresh.interval.ms": 30_000,
            **(settings or {}),
        },
    )
