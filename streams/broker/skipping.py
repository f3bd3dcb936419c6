"""Past what librdkafka cannot read: a batch that it will not inflate would stop a reader for ever.

15 kB on the wire can be 500 MB; librdkafka gives up on such a batch, names it in an error, and asks for it again. The
stages read it (streams/runtime/fetching.py) and lay its records aside; whoever only looks goes past it.
"""

from __future__ import annotations

import logging

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

log = logging.getLogger(__name__)

_UNREADABLE = (KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG)


class Skipper:
    """Takes one consumer past batches that it cannot read, and says so once per record."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        #: What is asked for after the last failure: its error names the batch, not the record within.
        self._asked: dict[tuple[str, int], int] = {}

    def skipped(self, message: Message) -> int | None:
        """The offset that is read next, where the message is the error of such a batch; None for anything else."""
        error = message.error()
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        if error is None or error.code() not in _UNREADABLE or topic is None or partition is None or offset is None:
            return None
        following: int = max(offset, self._asked.get((topic, partition), -1)) + 1
        self._asked[topic, partition] = following
        log.warning("%s[%s]@%s cannot be read (%s): going past it", topic, partition, following - 1, error.name())
        try:
            self._consumer.seek(TopicPartition(topic, partition, following))
        except KafkaException:
            # Not assigned any more: somebody else's then.
            return None
        return following
