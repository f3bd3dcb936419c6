"""Orders a record to be laid aside by hand, where a consumer group does not get past it.

The order is a note on the state topic of the stage (`orders`): whichever worker takes the partition over next carries
it out, in one transaction with the offset. The record is not deleted, and nobody is fenced, so an order is safe while
workers live; one that gets past the record by itself makes the order void.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import KafkaException, TopicPartition

from schemas.errors import OneLineError
from streams.broker.clients import observer, producer
from streams.broker.positions import committed_offsets
from streams.broker.read import stable_end
from streams.broker.words import in_words
from streams.runtime.orders import SkipOrder

#: Seconds the broker may take for one small record.
TIMEOUT_S = 30.0
#: Seconds between two looks at where the group is.
LOOK_S = 0.5


class SkipError(OneLineError):
    """Nothing was ordered; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """A consumer group, and where its stage keeps its state."""

    group: str
    state_topic: str


def order_skip(bootstrap_servers: str, reader: Reader, partition: int, order: SkipOrder) -> None:
    """Write the order down. Raises SkipError where the group does not stand at that record, KafkaException."""
    stands_at = position(bootstrap_servers, reader.group, order.topic, partition)
    if stands_at != order.offset:
        raise SkipError(
            f"{reader.group} stands at offset {stands_at} of {order.topic}[{partition}], not at {order.offset}: "
            "nothing was skipped"
        )
    _, end = bounds(bootstrap_servers, order.topic, partition)
    if order.offset >= end:
        raise SkipError(f"{order.topic}[{partition}] has no record at offset {order.offset} yet: nothing was skipped")
    writing = producer(bootstrap_servers)
    failed: list[str] = []
    writing.produce(
        reader.state_topic,
        order.to_json(),
        order.state_key,
        partition,
        on_delivery=lambda error, _: failed.append(error.name()) if error is not None else None,
    )
    if writing.flush(TIMEOUT_S) or failed:
        raise SkipError(f"the broker did not take the order: {', '.join(failed) or 'no answer'}")


def position(bootstrap_servers: str, group: str, topic: str, partition: int) -> int:
    """The offset that the group reads next; where it has committed nothing, the partition's first."""
    known = committed_offsets(bootstrap_servers, group, [topic], partition).get(topic)
    return bounds(bootstrap_servers, topic, partition)[0] if known is None else known


def passed(bootstrap_servers: str, group: str, topic: str, partition: int, offset: int, within_s: float) -> bool:
    """Wait until the group has got past the offset; False where it has not within that time."""
    deadline = time.monotonic() + within_s
    while position(bootstrap_servers, group, topic, partition) <= offset:
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


def bounds(bootstrap_servers: str, topic: str, partition: int) -> tuple[int, int]:
    """First offset, and the end up to which committed records can be read. Raises SkipError."""
    looking = observer(bootstrap_servers)
    try:
        count = len(looking.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions)
        if not 0 <= partition < count:
            raise SkipError(f"{topic} has no partition {partition}")
        first, _ = looking.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)
        return int(first), stable_end(looking, (topic, partition), TIMEOUT_S)
    except KafkaException as error:
        raise SkipError(f"the broker did not answer: {in_words(error.args[0])}") from None
    finally:
        looking.close()
