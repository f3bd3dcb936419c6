"""Reading stretches of topics, committed records only, from a given start to a given end, and then stopping.

An end taken as "written" (the high watermark) is reached only when every transaction before it is decided: a reader
that gets there has seen all that will ever be visible before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.errors import OneLineError
from streams.broker.clients import observer
from streams.broker.skipping import Skipper
from streams.broker.words import in_words

#: Seconds without any news after which reading is given up. Longer than an abandoned transaction lives: the stages'
#: ends after 20 s, those of other producers by default after 60 s.
PATIENCE_S = 90.0
#: `consume` waits so long for a chunk to fill: longer is lost at the end of every topic, shorter makes chunks small.
GATHER_S = 0.05
#: Messages taken from librdkafka at a time; bounds the Python objects alive at once.
CHUNK = 2_000

Place = tuple[str, int]
Progress = Callable[[int], None]

_SETTINGS = {
    # Whoever verifies wants to know of a damaged disk.
    "check.crcs": True,
    "queued.max.messages.kbytes": 16_384,
}


class UnreadableError(OneLineError):
    """A topic could not be read to its end; one line that says which, and what was in the way."""


@dataclass(frozen=True, slots=True)
class Span:
    """Offsets of a partition, the end not included."""

    start: int
    end: int


def stable_end(consumer: Consumer, place: Place, timeout_s: float) -> int:
    """The last stable offset of a partition, as a committed reader can reach it now. Raises KafkaException.

    A leader that was just elected serves at first only what it knows to be replicated, and reports the end of that as
    "the end" of the partition; this question is not answered before the leader knows (KIP-207).
    """
    _, end = consumer.get_watermark_offsets(TopicPartition(*place), timeout=timeout_s)
    return int(end)


def fetch(
    bootstrap_servers: str, spans: Mapping[Place, Span], progress: Progress = lambda _: None
) -> Iterator[list[Message]]:
    """The committed records of these stretches, in chunks, each partition in order.

    `progress` is told of offsets passed. Raises UnreadableError when an end cannot be reached.
    """
    left = {place: span for place, span in spans.items() if span.start < span.end}
    if not left:
        return
    consumer = observer(bootstrap_servers, _SETTINGS)
    try:
        consumer.assign([TopicPartition(*place, span.start) for place, span in left.items()])
        yield from _fetch(consumer, left, progress)
    except KafkaException as error:
        raise UnreadableError(f"reading failed: {in_words(error.args[0])}") from None
    finally:
        consumer.close()


def _fetch(consumer: Consumer, left: dict[Place, Span], progress: Progress) -> Iterator[list[Message]]:
    at = {place: span.start for place, span in left.items()}
    skipper = Skipper(consumer)
    heard = time.monotonic()
    while left:
        messages = consumer.consume(CHUNK, GATHER_S)
        if messages:
            heard = time.monotonic()
        elif time.monotonic() - heard > PATIENCE_S:
            topic, partition = min(left)
            raise UnreadableError(
                f"{topic}[{partition}] cannot be read beyond offset {at[topic, partition]}: "
                "an open transaction is in the way, or the broker is away"
            )
        chunk: list[Message] = []
        for message in messages:
            place = (message.topic(), message.partition())
            if (error := message.error()) is not None and error.code() != KafkaError._PARTITION_EOF:
                if (following := skipper.skipped(message)) is not None and place in left:
                    _passed(consumer, left, at, place, following, progress)
                    continue
                if error.retriable() or error.code() == KafkaError._TRANSPORT:
                    continue
                raise UnreadableError(f"{place[0]}[{place[1]}]: {in_words(error)}")
            if (span := left.get(place)) is None:
                continue
            offset = message.offset()
            if error is None and offset < span.end:
                chunk.append(message)
            _passed(consumer, left, at, place, offset + (error is None), progress)
        if chunk:
            yield chunk


def _passed(
    consumer: Consumer, left: dict[Place, Span], at: dict[Place, int], place: Place, offset: int, progress: Progress
) -> None:
    """All before `offset` is read; at its end a stretch is no longer asked for."""
    end = left[place].end
    passed = max(at[place], min(offset, end))
    progress(passed - at[place])
    at[place] = passed
    if passed >= end:
        del left[place]
        consumer.incremental_unassign([TopicPartition(*place)])
