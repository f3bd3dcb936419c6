"""A producer that publishes every record again until a broker confirms it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from typing import Any

from confluent_kafka import Producer

from ops.chaos.hostile import LARGE
from ops.chaos.values import Sent
from streams.broker import clients
from streams.broker.mending import MendingProducer


class Publishing:
    """Publishes records and keeps each for the verifier, one entry per attempt. Safe to use from several threads.

    An idempotent producer that met a fatal error (its broker forgot its sequence) takes no more records: it is
    replaced, and the next one publishes what it had not confirmed.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._servers = bootstrap_servers
        self._lock = threading.RLock()
        self._sent: list[Sent] = []
        self._acked: list[bool] = []
        self._again: deque[Sent] = deque()
        self._producer = MendingProducer(self._open)

    @property
    def replaced(self) -> int:
        """How often a producer had to be replaced."""
        return self._producer.replaced

    def publish(self, one: Sent) -> None:
        """Hand a record to the client; waits while its queue is full. Raises KafkaException for a record that no
        producer would take."""
        with self._lock:
            at = len(self._sent)
            self._sent.append(one)
            self._acked.append(False)
        while True:
            try:
                self._producer.produce(
                    one.topic,
                    one.value,
                    key=one.key,
                    headers=list(one.headers),
                    on_delivery=partial(self._delivered, at),
                )
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def poll(self, timeout_s: float) -> None:
        """Serve delivery reports for `timeout_s`, and publish again what was refused."""
        self._producer.poll(timeout_s)
        while self._again:
            self.publish(self._again.popleft())

    def finish(self, timeout_s: float) -> list[Sent]:
        """Every attempt, in order, with whether it was confirmed; waits at most `timeout_s` for confirmations."""
        deadline = time.monotonic() + timeout_s
        while (self._producer.flush(1.0) or self._again) and time.monotonic() < deadline:
            self.poll(0)
        with self._lock:
            return [replace(one, acked=ok) for one, ok in zip(self._sent, self._acked, strict=True)]

    def recent(self, count: int) -> list[Sent]:
        """The last `count` records handed over."""
        with self._lock:
            return self._sent[-count:]

    def _delivered(self, at: int, error: Any, message: Any) -> None:
        self._acked[at] = error is None
        # Poison is not published again: an unconfirmed one may be on the topic, and two copies would be two cases.
        if error is not None and not self._sent[at].refused:
            self._again.append(self._sent[at])

    def _open(self) -> Producer:
        settings = {
            "linger.ms": 5,
            "delivery.timeout.ms": 300_000,
            # A hostile record is larger than anything of ours, until it is compressed.
            "compression.type": "lz4",
            "message.max.bytes": 2 * LARGE,
        }
        return clients.producer(self._servers, settings)
