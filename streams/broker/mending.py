"""A producer that outlives its own death.

An idempotent producer that meets a fatal error (its broker forgot its sequence) takes nothing more, for ever. Whoever
drives deadlines or publishes cases must not end with it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

logger = logging.getLogger(__name__)


class MendingProducer:
    """Replaces its producer after a fatal error. What the broken one had not confirmed fails through its reports.

    May be shared between threads.
    """

    def __init__(self, make: Callable[[], Producer]) -> None:
        """`make` opens a producer; called now and after every fatal error."""
        self._make = make
        self._producer = make()
        self._lock = threading.Lock()
        #: How often a producer had to be replaced.
        self.replaced = 0

    def produce(self, topic: str, value: bytes | None, **more: Any) -> None:
        """As `Producer.produce`. Raises BufferError, and KafkaException for a record that no producer would take."""
        producer = self._producer
        try:
            producer.produce(topic, value, **more)
        except KafkaException as error:
            if not is_fatal(error.args[0]):
                raise
            self._replace(producer).produce(topic, value, **more)

    def poll(self, timeout_s: float) -> int:
        """Serve delivery reports."""
        return self._served(lambda producer: producer.poll(timeout_s))

    def flush(self, timeout_s: float) -> int:
        """Wait for what is on its way; returns how many records are still unconfirmed."""
        return self._served(lambda producer: producer.flush(timeout_s))

    def _served(self, call: Callable[[Producer], int]) -> int:
        producer = self._producer
        try:
            return int(call(producer))
        except KafkaException as error:
            if not is_fatal(error.args[0]):
                raise
            self._replace(producer)
            return 0

    def _replace(self, broken: Producer) -> Producer:
        with self._lock:
            if self._producer is broken:
                logger.warning("a producer met a fatal error and is replaced")
                self._producer = self._make()
                self.replaced += 1
        # The client raises the fatal error once more, and a report that is served meanwhile would be called with that
        # exception set (SystemError); so it is taken out alone, before the reports of what the broken one still held.
        with suppress(KafkaException):
            broken.poll(0)
        broken.purge()
        with suppress(KafkaException):
            broken.flush(1.0)
        return self._producer


def is_fatal(error: KafkaError) -> bool:
    """Whether the producer that reports this takes nothing more."""
    return bool(error.fatal()) or error.code() == KafkaError._FATAL
