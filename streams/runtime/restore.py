"""Reading a state topic to its end, at every assignment.

The number's transactional producer has been started before (and so the old owner fenced and its open transaction
aborted): what is read here is final.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from streams.broker.clients import observer
from streams.broker.read import stable_end

#: Without a record or an end-of-partition event for this long, the broker is taken to be away.
IDLE_TIMEOUT_S = 30.0


class StateUnreadableError(RuntimeError):
    """The state topic could not be read to its end; the partition must not be processed without its state."""


def read_state(bootstrap_servers: str, topic: str, numbers: Iterable[int]) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Every (number, key, value) of the topic's partitions, oldest first, read_committed, to the last stable offset.

    A value of None is a tombstone. Blocking: call it in a thread. Raises StateUnreadableError.
    """
    waiting = set(numbers)
    if not waiting:
        return
    consumer = observer(bootstrap_servers)
    try:
        # Zero, not OFFSET_BEGINNING: librdkafka would ask for that offset before it knows whom to ask, and ask again
        # only after half a second. Reading a small state took 0.61 s, and takes 0.06.
        consumer.assign([TopicPartition(topic, number, 0) for number in sorted(waiting)])
        ends = {number: stable_end(consumer, (topic, number), IDLE_TIMEOUT_S) for number in sorted(waiting)}
        while waiting:
            # One at a time: `consume` would wait for a whole batch or its timeout, at the end of a topic in vain.
            message = consumer.poll(IDLE_TIMEOUT_S)
            if message is None:
                raise StateUnreadableError(f"no answer for partitions {sorted(waiting)} of {topic}")
            error = message.error()
            if error is None:
                if message.key() is not None:
                    yield message.partition(), message.key(), message.value()
            elif error.code() == KafkaError._PARTITION_EOF:
                # Not the first "end" that is reported: see `stable_end`.
                if message.offset() >= ends[message.partition()]:
                    waiting.discard(message.partition())
            elif not error.retriable():
                raise StateUnreadableError(f"{topic}: {error.name()}")
    except KafkaException as error:
        raise StateUnreadableError(f"{topic}: {error.args[0].name()}") from error
    finally:
        consumer.close()
