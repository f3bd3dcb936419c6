"""Reading a state topic to its end, at every assignment.

The number's transactional producer has been started before (and so the old owner fenced and its open transaction
aborted): what is read here is final.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition

from streams.broker.clients import observer
from streams.broker.read import stable_end
from streams.broker.skipping import Skipper

#: Without a record or an end-of-partition event for this long, the broker is taken to be away.
IDLE_TIMEOUT_S = 30.0
#: Messages taken at a time of those that the client has already.
_READY = 1_000


@dataclass(frozen=True, slots=True)
class StateEntry:
    """A record of a state topic; a value of None is a tombstone."""

    partition: int
    key: bytes
    value: bytes | None
    offset: int = 0
    timestamp_ms: int = 0


class StateUnreadableError(RuntimeError):
    """The state topic could not be read to its end; the partition must not be processed without its state."""


def read_state(
    bootstrap_servers: str, topic: str, partitions: Iterable[int], newest: int | None = None
) -> Iterator[StateEntry]:
    """Every record of the topic that has a key, oldest first, read_committed, to the last stable offset.

    With `newest`, only what lies in so many last offsets of each partition. Blocking:
    call it in a thread. Raises StateUnreadableError.
    """
    waiting = set(partitions)
    if not waiting:
        return
    consumer = observer(bootstrap_servers)
    skipper = Skipper(consumer)
    try:
        ends = {partition: stable_end(consumer, (topic, partition), IDLE_TIMEOUT_S) for partition in sorted(waiting)}
        # A number, not OFFSET_BEGINNING: librdkafka would ask for that offset before it knows whom to ask, and ask
        # again only after half a second. Reading a small state took 0.61 s, and takes 0.06.
        starts = {partition: 0 if newest is None else max(0, end - newest) for partition, end in ends.items()}
        consumer.assign([TopicPartition(topic, partition, start) for partition, start in starts.items()])
        while waiting:
            # The first one may be long in coming. Of those that lie ready, as many as there are: asked for a full
            # batch, `consume` would wait for it at the end of the topic, in vain.
            first = consumer.poll(IDLE_TIMEOUT_S)
            if first is None:
                raise StateUnreadableError(f"no answer for partitions {sorted(waiting)} of {topic}")
            for message in (first, *consumer.consume(_READY, 0)):
                # Nobody can read it, so no stage wrote it; it must not keep the partition from its next owner.
                if skipper.skipped(message) is None:
                    yield from _entry(message, ends, waiting, topic)
    except KafkaException as error:
        raise StateUnreadableError(f"{topic}: {error.args[0].name()}") from error
    finally:
        consumer.close()


def _entry(message: Message, ends: Mapping[int, int], waiting: set[int], topic: str) -> Iterator[StateEntry]:
    error, partition = message.error(), message.partition()
    if error is None:
        if (key := message.key()) is not None:
            yield StateEntry(partition, key, message.value(), message.offset(), message.timestamp()[1])
    elif error.code() == KafkaError._PARTITION_EOF:
        # Not the first "end" that is reported: see `stable_end`.
        if message.offset() >= ends[partition]:
            waiting.discard(partition)
    elif not error.retriable():
        raise StateUnreadableError(f"{topic}: {error.name()}")
