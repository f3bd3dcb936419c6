"""The librdkafka clients of this package, and what they share."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

#: librdkafka reports a lost connection by itself, once a try; whether the broker is away is a figure here, not a log
#: line.
_quiet = logging.getLogger("vigia.lag.librdkafka")
_quiet.setLevel(logging.CRITICAL)

Partition = tuple[str, int]


class BrokerAwayError(Exception):
    """The broker did not answer. The message says what was asked."""


def admin_client(bootstrap_servers: str) -> AdminClient:
    """Client for offsets, groups and topics."""
    return AdminClient(_common(bootstrap_servers), logger=_quiet)


def reading_consumer(bootstrap_servers: str, settings: Mapping[str, str | int] | None = None) -> Consumer:
    """A `read_committed` consumer that belongs to no group: partitions are assigned by hand, nothing is committed.

    It reports the end of a partition (EOF) with the offset up to which it has looked, markers and aborted records
    included.
    """
    return Consumer(
        _common(bootstrap_servers)
        | {
            # librdkafka wants a name even of a consumer that never joins; no group of this name ever exists.
            "group.id": "vigia-observer",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "auto.offset.reset": "error",
            "check.crcs": False,
            # Memory: what librdkafka may hold in its queue, and what one answer of a broker may be.
            "queued.max.messages.kbytes": 8_192,
            "fetch.max.bytes": 8 << 20,
            "max.partition.fetch.bytes": 1 << 20,
            # How soon an EOF tells that only markers were left. Shorter costs the broker more empty fetches.
            "fetch.wait.max.ms": 100,
            "fetch.error.backoff.ms": 100,
        }
        | dict(settings or {}),
        logger=_quiet,
    )


def _common(bootstrap_servers: str) -> dict[str, str | int | bool]:
    return {
        "bootstrap.servers": bootstrap_servers,
        "client.id": "vigia-lag",
        "reconnect.backoff.max.ms": 1_000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }
