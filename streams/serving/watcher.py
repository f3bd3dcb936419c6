"""Follows the model control topic: what is ordered when a worker starts, and every order while it runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.envelope.audit import sha256_hex
from schemas.errors import ContractError
from schemas.events import ModelControlEvent
from schemas.serde import Serde
from streams import topics
from streams.broker.clients import observer
from streams.broker.read import stable_end
from streams.broker.skipping import Skipper
from streams.serving.rollout import Rollout

logger = logging.getLogger(__name__)

#: How long a start waits for the standing orders. Without them the registry's default judges until they come.
START_WITHIN_S = 15.0
#: Seconds that one question for the end of a partition may take, and an end that no offset reaches.
_ASK_S = 5.0
_UNKNOWN = 2**63


class ModelWatcher:
    """A thread that reads the control topic and tells of every change.

    It joins no group and commits nothing: every worker needs every order, and the topic is small.
    """

    def __init__(
        self, bootstrap_servers: str, serde: Serde, partitions: int, on_change: Callable[[Rollout], None]
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
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
        consumer = observer(self._bootstrap_servers)
        skipper = Skipper(consumer)
        ends: dict[int, int] = {}
        places = [TopicPartition(topics.MODEL_CONTROL, partition, 0) for partition in range(self._partitions)]
        consumer.assign(places)
        while not self._stopping.is_set():
            if len(ends) < len(places):
                self._find_ends(consumer, ends)
            message = consumer.poll(0.3)
            if message is None:
                continue
            error = message.error()
            if error is None:
                self._take(message)
            elif skipper.skipped(message) is not None:
                continue
            elif error.code() == KafkaError._PARTITION_EOF and not self._caught_up.is_set():
                # Not the first "end" that is reported: see `stable_end`.
                if message.offset() >= ends.get(message.partition(), _UNKNOWN):
                    self._unread.discard(message.partition())
                if not self._unread:
                    self._caught_up.set()
        consumer.close()

    def _find_ends(self, consumer: Consumer, ends: dict[int, int]) -> None:
        for partition in range(self._partitions):
            if partition not in ends:
                with suppress(KafkaException):
                    ends[partition] = stable_end(consumer, (topics.MODEL_CONTROL, partition), _ASK_S)

    def _take(self, message: Message) -> None:
        key, value = message.key(), message.value()
        if key is None or value is None:
            return
        try:
            event = self._serde.decode(value, topics.MODEL_CONTROL)
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
