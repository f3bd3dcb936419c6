"""Reading a state topic to its end, at every assignment.

The number's transactional producer has been started before (and so the old owner fenced and its open transaction
aborted): what is read here is final.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

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
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            # Required by the client, never used: nothing is committed and nothing joined.
            "group.id": f"{topic}-restore",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            # For a topic whose first records are gone.
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "allow.auto.create.topics": False,
            "log_level": 0,
        }
    )
    try:
        # Zero, not OFFSET_BEGINNING: librdkafka would ask for that offset before it knows whom to ask, and ask again
        # only after half a second. Reading a small state took 0.61 s, and takes 0.06.
        consumer.assign([TopicPartition(topic, number, 0) for number in sorted(waiting)])
        ends = {number: _end(consumer, topic, number) for number in sorted(waiting)}
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
                # A leader that was just elected serves at first only what it knows to be replicated, and "the end" is
                # the end of that.
                if message.offset() >= ends[message.partition()]:
                    waiting.discard(message.partition())
            elif not error.retriable():
                raise StateUnreadableError(f"{topic}: {error.name()}")
    except KafkaException as error:
        raise StateUnreadableError(f"{topic}: {error.args[0].name()}") from error
    finally:
        consumer.close()


def _end(consumer: Consumer, topic: str, number: int) -> int:
    """The last stable offset. Unlike a fetch, this question is not answered before the leader knows (KIP-207)."""
    _, end = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=IDLE_TIMEOUT_S)
    return int(end)
