"""How far a consumer group has come: positions behind handled events, on their way to the broker."""

from __future__ import annotations

import logging
import time
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from streams.broker.words import in_words

log = logging.getLogger(__name__)

#: Positions are sent to the broker at most so often, in seconds. More often costs a request per event; less often
#: delivers more again after a crash: at 1 s, what was handled in its last second.
COMMIT_INTERVAL_S = 1.0


class PendingPositions:
    """Positions not yet known to be committed. The callbacks are for librdkafka, which runs them within `poll`."""

    def __init__(self) -> None:
        #: (topic, partition) → offset of the next record.
        self._handled: dict[tuple[str, int], int] = {}
        self._sent_at = time.monotonic()

    def handled(self, message: Message) -> None:
        """The caller is done with this record."""
        place = (cast(str, message.topic()), cast(int, message.partition()))
        self._handled[place] = cast(int, message.offset()) + 1

    def send_if_due(self, consumer: Consumer) -> None:
        """Send without waiting, once in a while; the answer comes to `answered`."""
        if self._handled and time.monotonic() - self._sent_at >= COMMIT_INTERVAL_S:
            positions = self._take()
            consumer.commit(offsets=positions, asynchronous=True)

    def send(self, consumer: Consumer) -> None:
        """Send and wait. Raises KafkaException; the positions are then kept for another attempt."""
        if not self._handled:
            return
        positions = self._take()
        try:
            for result in consumer.commit(offsets=positions, asynchronous=False) or ():
                if result.error is not None:
                    raise KafkaException(result.error)
        except KafkaException:
            self._keep(positions)
            raise

    def send_or_warn(self, consumer: Consumer) -> None:
        """Send and wait where a failure must not stop what follows: the events are then delivered again."""
        try:
            self.send(consumer)
        except KafkaException as error:
            log.warning("positions are not committed: %s", in_words(error.args[0]))

    def answered(self, error: KafkaError | None, positions: list[TopicPartition]) -> None:
        """The broker's answer to `send_if_due`."""
        self._keep([position for position in positions if error is not None or position.error is not None])

    def revoked(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member takes these partitions over, and starts from what is committed now."""
        self.send_or_warn(consumer)
        self.lost(consumer, partitions)

    def lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        """Another member owns these partitions already: a position of ours would set theirs back."""
        for partition in partitions:
            self._handled.pop((partition.topic, partition.partition), None)

    def _take(self) -> list[TopicPartition]:
        positions = [TopicPartition(*place, offset) for place, offset in self._handled.items()]
        self._handled.clear()
        self._sent_at = time.monotonic()
        return positions

    def _keep(self, positions: list[TopicPartition]) -> None:
        for position in positions:
            # Unless a later one is waiting already.
            self._handled.setdefault((position.topic, position.partition), position.offset)
