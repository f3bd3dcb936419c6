"""What a look at a cluster needs: offsets of many partitions at once, positions of groups, settings, and records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import ConfigResource, OffsetSpec

from streams.broker.clients import admin_client, observer
from streams.broker.errors import ClientError
from streams.broker.read import PATIENCE_S, Place, Progress, Span, fetch
from streams.broker.read import UnreadableError as UnreadableError
from streams.broker.words import in_words, no_such_topic

T = TypeVar("T")

#: Seconds a question is put again, and that one request may take.
TIMEOUT_S = 30.0
REQUEST_S = 10.0
#: Seconds for which a mere look at a topic waits for transactions that are just being ended.
MOMENT_S = 3.0
#: Pause between two looks at a transaction that is still open; they take a few milliseconds.
POLL_S = 0.02
#: Pause before a question is put again.
RETRY_PAUSE_S = 0.1
#: Answers of a broker that has just lost or not yet taken over a partition; admin calls do not mark them as passing.
_PASSING = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        # "No leaders found", of a topic that was made a moment ago.
        KafkaError._NOENT,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)


class Cluster:
    """Offsets and settings of a cluster. Every method raises UnreadableError when the broker does not answer."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers
        self._admin = admin_client(bootstrap_servers)

    def partitions(self) -> dict[str, int]:
        """Topic → number of partitions, of every topic."""
        try:
            return {
                name: len(topic.partitions) for name, topic in self._admin.list_topics(timeout=TIMEOUT_S).topics.items()
            }
        except KafkaException as error:
            raise UnreadableError(f"the broker does not answer: {in_words(error.args[0])}") from None

    def no_such_topic(self, name: str) -> ClientError:
        """The error for a topic that is not among `partitions`: not there, or not for us to see."""
        try:
            return no_such_topic(name, self._admin.list_topics(name, timeout=TIMEOUT_S).topics.get(name))
        except KafkaException as error:
            raise UnreadableError(f"the broker does not answer: {in_words(error.args[0])}") from None

    def starts(self, places: Iterable[Place]) -> dict[Place, int]:
        """The first offset that is still there."""
        return self._offsets(places, OffsetSpec.earliest(), IsolationLevel.READ_UNCOMMITTED)

    def written_ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset after the last record written, committed or not."""
        return self._offsets(places, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)

    def committed_ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The offset before which every transaction is decided."""
        return self._offsets(places, OffsetSpec.latest(), IsolationLevel.READ_COMMITTED)

    def offsets_at(self, places: Iterable[Place], at_ms: int) -> dict[Place, int]:
        """The first offset written at this time (ms since the epoch) or later; the end where there is none."""
        places = list(places)
        found = self._offsets(places, OffsetSpec.for_timestamp(at_ms), IsolationLevel.READ_UNCOMMITTED)
        ends = self.written_ends(place for place, offset in found.items() if offset < 0)
        return {place: offset if offset >= 0 else ends[place] for place, offset in found.items()}

    def readable_ends(self, places: Iterable[Place]) -> dict[Place, int]:
        """The ends of what has been written and committed before now.

        A transaction's end is written a moment after its producer was told; it is waited for, and one that stays open
        is left out.
        """
        ends = self.written_ends(places)
        try:
            self.wait_until_committed(ends, MOMENT_S)
        except UnreadableError:
            return self.committed_ends(ends)
        return ends

    def wait_until_committed(self, ends: Mapping[Place, int], patience_s: float = PATIENCE_S) -> None:
        """Return once no transaction is open before these offsets. Raises UnreadableError when one stays open."""
        left = dict(ends)
        given_up = time.monotonic() + patience_s
        while True:
            committed = self.committed_ends(left)
            left = {place: end for place, end in left.items() if committed[place] < end}
            if not left:
                return
            if time.monotonic() > given_up:
                topic, partition = min(left)
                raise UnreadableError(f"a transaction on {topic}[{partition}] stays open: what it holds is not decided")
            time.sleep(POLL_S)

    def committed_positions(self, group: str, places: Iterable[Place]) -> dict[Place, int]:
        """How far a consumer group has come; places without a position are left out."""
        # Not by AdminClient.list_consumer_group_offsets: when the answer is that the coordinator is still loading,
        # librdkafka (2.16) turns to the group of the client, which an admin client does not have: segmentation fault.
        consumer = observer(self.bootstrap_servers, group=group)
        asked = [TopicPartition(*place) for place in places]
        try:
            found = _answer(f"positions of {group}", lambda: consumer.committed(asked, timeout=REQUEST_S))
        finally:
            consumer.close()
        return {(tp.topic, tp.partition): tp.offset for tp in found if tp.offset >= 0 and not tp.error}

    def settings(self, topics: Iterable[str]) -> dict[str, Mapping[str, str]]:
        """Topic → its settings as the broker holds them."""
        asked = [ConfigResource(ConfigResource.Type.TOPIC, topic) for topic in topics]
        if not asked:
            return {}
        answers = _answers("settings", lambda: self._admin.describe_configs(asked, request_timeout=REQUEST_S))
        return {
            resource.name: {name: str(entry.value) for name, entry in entries.items()}
            for resource, entries in answers.items()
        }

    def read(self, spans: Mapping[Place, Span], progress: Progress = lambda _: None) -> Iterator[list[Message]]:
        """The committed records of these stretches, in chunks, each partition in order.

        `progress` is told of offsets passed. Raises UnreadableError when an end cannot be reached.
        """
        return fetch(self.bootstrap_servers, spans, progress)

    def _offsets(self, places: Iterable[Place], spec: Any, isolation: Any) -> dict[Place, int]:
        asked = {TopicPartition(*place): spec for place in places}
        if not asked:
            return {}
        answers = _answers(
            "offsets",
            lambda: self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=REQUEST_S),
        )
        return {(tp.topic, tp.partition): found.offset for tp, found in answers.items()}


def spans(starts: Mapping[Place, int], ends: Mapping[Place, int]) -> dict[Place, Span]:
    """What lies between."""
    return {place: Span(starts[place], end) for place, end in ends.items()}


def _answers(what: str, ask: Callable[[], Mapping[Any, Future[Any]]]) -> dict[Any, Any]:
    return _answer(what, lambda: {key: future.result(2 * REQUEST_S) for key, future in ask().items()})


def _answer(what: str, ask: Callable[[], T]) -> T:
    """The answer; asked again while the broker will know better in a moment (a new leader, a new topic)."""
    given_up = time.monotonic() + TIMEOUT_S
    while True:
        try:
            return ask()
        except KafkaException as error:
            passing = error.args[0].retriable() or error.args[0].code() in _PASSING
            if not passing or time.monotonic() > given_up:
                raise UnreadableError(f"{what}: {in_words(error.args[0])}") from None
        except TimeoutError:
            if time.monotonic() > given_up:
                raise UnreadableError(f"{what}: no answer within {TIMEOUT_S:.0f} s") from None
        time.sleep(RETRY_PAUSE_S)
