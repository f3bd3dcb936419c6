"""Subscribe to the pipeline's topics from any Python program: committed records only, decoded, none skipped in silence.

Delivery is at least once. The position of an event is committed only after the caller has come back for the next one,
so an event in hand when the process dies, or when a `for` loop is left, is delivered again. Handlers that must not act
twice compare `event.event_id`, which never changes for the same decision.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Self, cast

from confluent_kafka import (
    OFFSET_BEGINNING,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from schemas.errors import InvalidEventError, RegistryUnavailableError, UndecodableError
from schemas.events import Event
from schemas.serde import Serde
from streams.broker.clients import LOOKING, PROMISED, group_member
from streams.broker.errors import BrokerUnavailableError, TopicMissingError
from streams.broker.received import ReceivedEvent, received_event
from streams.broker.skipping import Skipper
from streams.broker.words import in_words, no_such_topic
from streams.client.errors import ConsumerError
from streams.client.positions import PendingPositions
from streams.settings import Settings

log = logging.getLogger(__name__)

#: A consumer that died is noticed after this time, as in the stages (streams/runtime): its partitions wait so long.
SESSION_TIMEOUT_MS = 6_000

#: How long one call into librdkafka may block, in seconds: the delay with which a signal (ctrl-C) is seen.
_POLL_S = 0.2

#: Patience with a broker that is asked which partitions there are, in seconds.
_METADATA_S = 10.0

_NO_BROKER = "no broker answers: is VIGIA_BOOTSTRAP_SERVERS right, and is it up?"
# Waiting does not help against these.
_FATAL = frozenset(
    {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError._AUTHENTICATION}
)


class EventConsumer:
    """A member of a consumer group. Not to be shared between threads; use it in a `with` block.

    >>> with EventConsumer(settings, ["vigia.escalations.emergency"], group_id="pager") as consumer:
    ...     for received in consumer:
    ...         page(received.event)
    """

    def __init__(
        self,
        settings: Settings,
        topics: Iterable[str],
        group_id: str | None,
        *,
        serde: Serde | None = None,
        alive: Callable[[], None] = lambda: None,
        **overrides: Any,
    ) -> None:
        """Subscribe; a group without committed positions starts at the oldest record.

        With None for a group, all partitions are read from the oldest record and no position is kept: for looking.

        `alive` is called several times a second while events are waited for, and once per event: a sign of life.
        `overrides` are librdkafka settings, such as `{"security.protocol": "SASL_SSL"}` (as **{…}). Those that the
        delivery promise rests on cannot be changed: ValueError.
        """
        if refused := sorted(PROMISED.keys() & overrides.keys()):
            raise ValueError(f"the delivery promise rests on {', '.join(refused)}")
        self._serde = serde or Serde(settings.schema_registry_url)
        self._own_serde = serde is None
        self._alive = alive
        self._keeps_position = group_id is not None
        self._positions = PendingPositions()
        self._brokers_down = False
        self._consumer = group_member(
            settings.bootstrap_servers,
            # librdkafka wants a name even where no group is joined.
            group_id or LOOKING,
            {
                "session.timeout.ms": SESSION_TIMEOUT_MS,
                "heartbeat.interval.ms": SESSION_TIMEOUT_MS // 3,
                "error_cb": self._noticed,
                "on_commit": self._positions.answered,
                **overrides,
            },
            logger=log,
        )
        self._skipper = Skipper(self._consumer)
        self._in_hand: Message | None = None
        self._stopped = False
        self._closed = False
        self._unassigned = [] if group_id is not None else list(topics)
        if group_id is not None:
            self._consumer.subscribe(list(topics), on_revoke=self._positions.revoked, on_lost=self._positions.lost)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[ReceivedEvent]:
        return self.events()

    def events(self, timeout: float | None = None) -> Iterator[ReceivedEvent]:
        """Events as they come; ends when none came for `timeout` seconds (never, by default).

        Asking for the next event says that the one before is handled. Raises TopicMissingError or ConsumerError when
        the topics cannot be read, BrokerUnavailableError when none came since no broker answers, and
        RegistryUnavailableError when a schema is needed that was never seen and the registry is away: the event is not
        lost, a new call begins with it.
        """
        while (received := self.next(timeout)) is not None:
            yield received

    def next(self, timeout: float | None = None) -> ReceivedEvent | None:
        """Mark the event in hand as handled and return the next one, or None after `timeout` seconds without one."""
        self.mark_handled()
        deadline = None if timeout is None else time.monotonic() + timeout
        if self._unassigned:
            self._take_all_partitions()
        while not self._stopped:
            self._alive()
            self._positions.send_if_due(self._consumer)
            left = _POLL_S if deadline is None else min(_POLL_S, max(0.0, deadline - time.monotonic()))
            message = self._consumer.poll(left)
            if message is not None:
                if (error := message.error()) is None:
                    return self._received(message)
                if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise TopicMissingError(f"topic {message.topic()} does not exist: run `vigia topics apply`")
                if error.code() in _FATAL:
                    raise ConsumerError(in_words(error))
                if self._skipper.skipped(message) is None:
                    log.warning("consumer: %s", in_words(error))
            elif deadline is not None and time.monotonic() >= deadline:
                self._check_reachable()
                return None
        return None

    def stop(self) -> None:
        """Let `next` and `events` end within 0.2 s, for good. For signal handlers and other threads.

        An exception from a signal handler, as ctrl-C raises one, can get lost in librdkafka's client.
        """
        self._stopped = True

    def mark_handled(self) -> None:
        """Say that the event in hand is handled, without asking for the next one; for use before leaving a loop."""
        if self._in_hand is not None:
            message, self._in_hand = self._in_hand, None
            if self._keeps_position:
                self._positions.handled(message)

    def commit(self) -> None:
        """Commit, now and for certain, the positions behind all handled events.

        Raises ConsumerError when the broker does not confirm, for example because the partitions went to another
        member: the events are then delivered to that one again.
        """
        try:
            self._positions.send(self._consumer)
        except KafkaException as error:
            raise ConsumerError(f"positions are not committed: {in_words(error.args[0])}") from None

    def close(self) -> None:
        """Commit what is handled and leave the group at once, so that its other members need not wait."""
        if self._closed:
            return
        self._closed = True
        # What was in hand when the block was left may be half done: it is delivered again.
        self._in_hand = None
        self._positions.send_or_warn(self._consumer)
        self._consumer.close()
        if self._own_serde:
            self._serde.close()

    def _received(self, message: Message) -> ReceivedEvent:
        value = message.value()
        decoded: Event | None = None
        failure: UndecodableError | InvalidEventError | None = None
        try:
            if value is not None:
                decoded = cast(Event, self._serde.decode(value, cast(str, message.topic())))
        except RegistryUnavailableError:
            # Not the record's fault: it comes again when the caller does.
            self._consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
            raise
        except (UndecodableError, InvalidEventError) as error:
            failure = error
        self._in_hand = message
        return received_event(message, message.topic() or "", decoded, failure)

    def _take_all_partitions(self) -> None:
        places: list[TopicPartition] = []
        for name in self._unassigned:
            try:
                found = self._consumer.list_topics(name, timeout=_METADATA_S).topics[name]
            except KafkaException:
                raise BrokerUnavailableError(_NO_BROKER) from None
            if not found.partitions:
                raise no_such_topic(name, found)
            places += [TopicPartition(name, partition, OFFSET_BEGINNING) for partition in found.partitions]
        self._consumer.assign(places)
        self._unassigned = []

    def _noticed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._brokers_down = True

    def _check_reachable(self) -> None:
        if self._brokers_down:
            try:
                self._consumer.list_topics(timeout=1.0)
            except KafkaException:
                raise BrokerUnavailableError(
                    "no broker answers: is VIGIA_BOOTSTRAP_SERVERS right, and is it up?"
                ) from None
            self._brokers_down = False
