"""Publish cases from any Python program: each call returns when the broker has the event safely, or raises.

Publishing the same picture, patient and time again gives the same case and event ids. A producer that remembers the
event sends nothing and returns the first answer; otherwise the stages see that the event was there before and drop it.
With a corrected context it is a revision of the case: judged anew, under the same case id and an event id of its own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from confluent_kafka import KafkaError, KafkaException

from schemas.errors import ContractError
from schemas.events import CaseEvent, Lane
from schemas.serde import Serde
from streams.broker import clients
from streams.broker.errors import BrokerUnavailableError, ClientError, NotAllowedError, TopicMissingError
from streams.broker.mending import MendingProducer
from streams.broker.words import in_words, not_allowed
from streams.client.cases import CaseBuilder, NewCase
from streams.client.delivery import Delivery, PublishedCase, RefusedCase
from streams.client.errors import CaseConflictError, ClockError, NotAcknowledgedError
from streams.client.tokens import PatientCodeError
from streams.images.errors import ImageError, StoreUnavailableError
from streams.settings import Settings
from streams.topics import CASES

log = logging.getLogger(__name__)

#: Everything that `publish` raises about one case (TokenKeyMissingError comes when the producer is made).
PUBLISH_ERRORS = (ClientError, PatientCodeError, ImageError, StoreUnavailableError, ContractError)

#: How long the broker has to confirm an event, all attempts together. A leader election takes 2–10 s; a nurse waits
#: half a minute at most.
ACKNOWLEDGE_WITHIN_S = 30.0

#: A topic that the brokers do not know for so long does not exist: `vigia topics apply` waits until all of them know
#: it. (librdkafka's default of 30 s would make a missing topic look like a slow broker.)
TOPIC_PATIENCE_MS = 3_000

#: Events remembered, so that a retried upload is answered without a second record: a day of a large hospital.
REMEMBERED = 4_096

#: Cases that `publish_many` keeps on their way at once. Their pictures are in memory for that long.
_IN_FLIGHT = 64

_NO_SUCH_TOPIC = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})


class CaseProducer:
    """Publishes cases; may be shared between threads. Close it, or use it in a `with` block.

    >>> with CaseProducer(Settings.from_env()) as producer:
    ...     producer.publish(image=Path("heel.jpg"), patient_code="CD-2025-001", context={"age": 85, "diabetes": True})
    """

    def __init__(
        self,
        settings: Settings,
        *,
        name: str = "vigia-client",
        topics: Mapping[Lane, str] = CASES,
        serde: Serde | None = None,
        acknowledge_within_s: float = ACKNOWLEDGE_WITHIN_S,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        """`name` is that of the publishing system, as events carry it; `kafka` adds librdkafka settings (TLS, SASL).

        Raises TokenKeyMissingError where no token key is configured.
        """
        self._builder = CaseBuilder(settings, name=name)
        self._topics = topics
        self._serde = serde or Serde(settings.schema_registry_url)
        self._own_serde = serde is None
        self._within_s = acknowledge_within_s
        self._brokers_down = False
        self._sent: OrderedDict[UUID, Delivery] = OrderedDict()
        self._lock = threading.Lock()
        self._producer = MendingProducer(
            lambda: clients.producer(
                settings.bootstrap_servers,
                {
                    "linger.ms": 5,
                    "compression.type": "lz4",
                    **(kafka or {}),
                    "topic.metadata.propagation.max.ms": TOPIC_PATIENCE_MS,
                    "delivery.timeout.ms": int(acknowledge_within_s * 1000),
                    "error_cb": self._noticed,
                },
                logger=log,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def publish(
        self,
        *,
        image: Path | bytes,
        patient_code: str | None,
        context: Mapping[str, object] | None = None,
        analysis_type: str | None = None,
        processing_options: Mapping[str, object] | None = None,
        captured_at: datetime | None = None,
        synthetic: bool = False,
        accept_unreadable: bool = False,
    ) -> PublishedCase:
        """Publish one case (see NewCase for the arguments) and wait until the broker has it.

        Raises one of PUBLISH_ERRORS: about the input (InvalidCaseError, PatientCodeError, ImageError,
        CaseConflictError), or about what is not there (StoreUnavailableError, RegistryUnavailableError,
        BrokerUnavailableError, TopicMissingError, ClockError, NotAcknowledgedError). After any of them it is safe to
        publish again.
        """
        case = NewCase(
            image=image,
            patient_code=patient_code,
            context=context or {},
            analysis_type=analysis_type,
            processing_options=processing_options or {},
            captured_at=captured_at,
            synthetic=synthetic,
            accept_unreadable=accept_unreadable,
        )
        delivery, duplicate = self._send(self._builder.build(case))
        return self._acknowledged(delivery, duplicate=duplicate)

    def publish_many(self, cases: Iterable[NewCase], *, threads: int = 4) -> Iterator[PublishedCase | RefusedCase]:
        """Publish many cases at once; answers come in the order of the cases, one for each.

        Pictures are stored by `threads` threads while events travel together, so that neither waits for the other. A
        case that is refused does not hold up those behind it.
        """
        building: deque[tuple[NewCase, Future[CaseEvent]]] = deque()
        travelling: deque[tuple[NewCase, Delivery | Exception, bool]] = deque()
        source = iter(cases)
        with ThreadPoolExecutor(threads, thread_name_prefix="publish") as pool:
            more = True
            while more or building or travelling:
                while more and len(building) < 2 * threads:
                    case = next(source, None)
                    if case is None:
                        more = False
                    else:
                        building.append((case, pool.submit(self._builder.build, case)))
                if building and len(travelling) < _IN_FLIGHT:
                    case, future = building.popleft()
                    try:
                        travelling.append((case, *self._send(future.result())))
                    except PUBLISH_ERRORS as error:
                        travelling.append((case, error, False))
                    self._producer.poll(0)
                    continue
                case, sent, duplicate = travelling.popleft()
                try:
                    if isinstance(sent, Exception):
                        raise sent
                    yield self._acknowledged(sent, duplicate=duplicate)
                except PUBLISH_ERRORS as error:
                    yield RefusedCase(case=case, error=error)

    def close(self) -> None:
        """Wait for what is on its way, then let go of the connections."""
        self._producer.flush(self._within_s)
        if self._own_serde:
            self._serde.close()

    def _send(self, event: CaseEvent) -> tuple[Delivery, bool]:
        """Hand the event to the client library, unless it is on its way or there already (then the second is true)."""
        topic = self._topics[event.lane]
        value = self._serde.encode(event, topic)
        delivery = Delivery(event, topic)
        with self._lock:
            earlier = self._sent.get(event.event_id)
            if earlier is not None and earlier.error is None:
                if earlier.event.synthetic != event.synthetic:
                    raise CaseConflictError(f"case {event.case_id} was published before as {_what(earlier.event)}")
                self._sent.move_to_end(event.event_id)
                return earlier, True
            self._sent[event.event_id] = delivery
            while len(self._sent) > REMEMBERED:
                self._sent.popitem(last=False)
        key = str(event.case_id).encode()
        while True:
            try:
                self._producer.produce(topic, value=value, key=key, on_delivery=delivery.report)
                return delivery, False
            except BufferError:
                # The local queue is full: deliveries free it.
                self._producer.poll(0.1)
            except KafkaException as error:
                delivery.error = error.args[0]
                delivery.done.set()
                return delivery, False

    def _acknowledged(self, delivery: Delivery, *, duplicate: bool) -> PublishedCase:
        # The library reports a failure itself when the time is up; the margin is for a poll that another thread holds.
        give_up = time.monotonic() + self._within_s + 5.0
        while not delivery.done.is_set() and time.monotonic() < give_up:
            self._producer.poll(0.05)
        error = delivery.error
        if delivery.done.is_set() and error is None:
            self._brokers_down = False
            return delivery.published(duplicate=duplicate)
        if error is not None and error.code() in _NO_SUCH_TOPIC:
            raise TopicMissingError(f"topic {delivery.topic} does not exist: run `vigia topics apply`")
        if error is not None and (line := not_allowed(error.code())):
            raise NotAllowedError(f"{line}: topic {delivery.topic}")
        if error is not None and error.code() == KafkaError.INVALID_TIMESTAMP:
            raise ClockError("the broker refuses the time of this machine: set its clock (NTP), then publish again")
        if self._brokers_down:
            raise BrokerUnavailableError(
                f"no broker answered within {self._within_s:g} s: is VIGIA_BOOTSTRAP_SERVERS right, and is it up?"
            )
        reason = in_words(error) if error is not None else "no answer"
        raise NotAcknowledgedError(
            f"case {delivery.event.case_id} is not confirmed by the broker ({reason}): publish it again"
        )

    def _noticed(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._brokers_down = True


def _what(event: CaseEvent) -> str:
    return "synthetic" if event.synthetic else "a patient's"
