"""Follows the model control topic: what is ordered when a worker starts, and every order while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from schemas.envelope.audit import sha256_hex
from schemas.errors import ContractError
from schemas.events import ModelControlEvent
from schemas.serde import Serde
from streams import topics
from streams.serving.rollout import Rollout

logger = logging.getLogger(__name__)

#: How long a start waits for the standing orders. Without them the registry's default judges until they come.
START_WITHIN_S = 15.0


class ModelWatcher:
    """A thread that reads the control topic and tells of every change.

    It joins no group and commits nothing: every worker needs every order, and the topic is small.
    """

    def __init__(
        self, bootstrap_servers: str, serde: Serde, partitions: int, on_change: Callable[[Rollout], None]
    ) -> None:
        self._settings = {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "vigia-model-watch",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
        self._serde = serde
        self._partitions = partitions
        self._on_change = on_change
        self._unread = set(range(partitions))
        self._caught_up = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="model-watch", daemon=True)
        self.rollout = Rollout()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Rollout:
        """Begin to follow; returns the standing orders once they are read."""
        self._thread.start()
        if not self._caught_up.wait(START_WITHIN_S):
            logger.warning("the model control topic is not readable yet; the default model judges")
        return self.rollout

    def stop(self) -> None:
        """Stop following."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(5)

    def _follow(self) -> None:
        consumer = Consumer(self._settings)
        consumer.assign(
            [TopicPartition(topics.MODEL_CONTROL, number, OFFSET_BEGINNING) for number in range(self._partitions)]
        )
        while not self._stopping.is_set():
            message = consumer.poll(0.3)
            if message is None:
                continue
            error = message.error()
            if error is None:
                self._take(message)
            elif error.code() == KafkaError._PARTITION_EOF and not self._caught_up.is_set():
                self._unread.discard(message.partition())
                if not self._unread:
                    self._caught_up.set()
        consumer.close()

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if key is None or value is None:
            return
        try:
            event = self._serde.decode(value)
        except ContractError as error:
            logger.error("an order on %s cannot be read: %s", topics.MODEL_CONTROL, error)
            return
        if not isinstance(event, ModelControlEvent):
            return
        changed = self.rollout.after(key.decode("utf-8", "replace"), event, sha256_hex(value))
        if changed != self.rollout:
            self.rollout = changed
            # Before the end of what stands is reached, older orders pass by that nobody should load a model for.
            if self._caught_up.is_set():
                self._on_change(changed)
