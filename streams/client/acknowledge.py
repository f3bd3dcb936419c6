"""Answer an escalation from any Python program, and learn what became of the answer."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID, uuid4

from confluent_kafka import OFFSET_END, Consumer, KafkaException, TopicPartition

from schemas.envelope.audit import ACCEPTED
from schemas.envelope.partitioner import partition_of
from schemas.errors import InvalidEventError, UndecodableError
from schemas.events import AcknowledgementAction, AcknowledgementEvent, AuditEntry, EscalationEvent, StageClass
from schemas.serde import Serde
from streams import topics
from streams.broker import clients
from streams.broker.errors import BrokerUnavailableError, ClientError
from streams.broker.log import looking_consumer, partitions_of, read_log
from streams.broker.mending import MendingProducer
from streams.broker.skipping import Skipper
from streams.broker.words import in_words
from streams.client.errors import NotAcknowledgedError
from streams.settings import Settings
from streams.topics import AUDIT

log = logging.getLogger(__name__)

#: Seconds for the broker to take the answer, and for the escalation stage to say what became of it. A stage that was
#: killed is replaced in about eight.
WITHIN_S = 20.0


class UnknownEscalationError(ClientError):
    """No escalation with this id stands on the topics."""


class AmbiguousEscalationError(ClientError):
    """Escalations of several cases bear this id; an answer to the wrong one would silence another patient's."""


class NoVerdictError(ClientError):
    """The answer is stored, but the escalation stage has not said yet what became of it."""


def newest(escalation_id: UUID, published: Iterable[EscalationEvent]) -> EscalationEvent:
    """The highest level of the one escalation among these, all of that id.

    Raises UnknownEscalationError for none, AmbiguousEscalationError where a feeder used one event id for several cases.
    """
    found: EscalationEvent | None = None
    for event in published:
        if found is not None and event.case_id != found.case_id:
            raise AmbiguousEscalationError(
                f"escalation {escalation_id} is one of case {found.case_id} and one of case {event.case_id}: "
                "answer yours by its case (`vigia ack --case`)"
            )
        if found is None or event.level >= found.level:
            found = event
    if found is None:
        raise UnknownEscalationError(f"no escalation {escalation_id} stands on the topics: see `vigia reviews`")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What became of an answer. `code` is one of streams.clinical.acknowledgements.AckCode."""

    event_id: UUID
    escalation_id: UUID
    case_id: UUID
    action: AcknowledgementAction
    role: str
    code: str
    #: Why it was refused, for people; empty where it counts.
    refusal: str
    #: Whether it came before the deadline; None where none was running.
    in_time: bool | None

    @property
    def accepted(self) -> bool:
        """Whether the answer counts."""
        return self.code in ACCEPTED


class Acknowledger:
    """Publishes answers; not to be shared between threads. Use it in a `with` block.

    >>> with Acknowledger(Settings.from_env()) as desk:
    ...     desk.answer(desk.find(escalation_id), role="attending_physician", by=token_of_the_physician)
    """

    def __init__(self, settings: Settings, *, serde: Serde | None = None) -> None:
        self._settings = settings
        self._serde = serde or Serde(settings.schema_registry_url)
        self._own_serde = serde is None
        self._producer = MendingProducer(
            lambda: clients.producer(
                settings.bootstrap_servers, {"delivery.timeout.ms": int(WITHIN_S * 1000)}, logger=log
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def find(self, escalation_id: UUID) -> EscalationEvent:
        """The escalation as it was last published. Reads the escalation topics whole, so it is not for hot paths.

        Raises UnknownEscalationError, AmbiguousEscalationError, BrokerUnavailableError, TopicMissingError,
        RegistryUnavailableError.
        """
        return newest(escalation_id, self._published(escalation_id))

    def _published(self, escalation_id: UUID) -> Iterator[EscalationEvent]:
        # Avro writes a UUID as its text: what does not hold it need not be decoded.
        needle = str(escalation_id).encode()
        for message in read_log(self._settings, topics.ESCALATIONS.values()):
            value = message.value()
            if value is None or needle not in value:
                continue
            try:
                event = self._serde.decode(value, message.topic() or "")
            except (UndecodableError, InvalidEventError):
                # Not one of the pipeline's: anybody can put the id into bytes.
                continue
            if isinstance(event, EscalationEvent) and event.escalation_id == escalation_id:
                yield event

    def answer(
        self,
        escalation: EscalationEvent,
        *,
        role: str,
        resolve: bool = False,
        by: str,
        stage: StageClass | None = None,
        within_s: float = WITHIN_S,
    ) -> Answered:
        """Acknowledge or resolve, and wait for the verdict of the escalation stage.

        `by` is an opaque token of whoever answers, never a name; `stage` the clinician's own staging of a resolved one.
        Raises ContractError for a value that does not fit, BrokerUnavailableError, NotAcknowledgedError (nothing is
        known to be stored; repeating is safe), NoVerdictError.
        """
        action = AcknowledgementAction.RESOLVE if resolve else AcknowledgementAction.ACKNOWLEDGE
        event = AcknowledgementEvent(
            event_id=uuid4(),
            case_id=escalation.case_id,
            escalation_id=escalation.escalation_id,
            action=action,
            role=role,
            acknowledged_at=datetime.now(UTC),
            resolved_stage=stage,
            acknowledged_by=by,
        )
        value = self._serde.encode(event, topics.ACKNOWLEDGEMENTS)
        consumer = looking_consumer(self._settings)
        try:
            # Before publishing, so that the verdict cannot come unseen.
            self._stand_at_end(consumer, escalation.case_id)
            self._send(event, value)
            entry = self._verdict(consumer, event.event_id, within_s)
        except KafkaException as error:
            raise BrokerUnavailableError(in_words(error.args[0])) from None
        finally:
            consumer.close()
        told = entry.attributes.get("in_time")
        return Answered(
            event_id=event.event_id,
            escalation_id=event.escalation_id,
            case_id=event.case_id,
            action=action,
            role=role,
            code=entry.outcome,
            refusal=entry.attributes.get("refusal", ""),
            in_time=None if told is None else told == "True",
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._producer.flush(1.0)
        if self._own_serde:
            self._serde.close()

    def _stand_at_end(self, consumer: Consumer, case_id: UUID) -> None:
        number = partition_of(str(case_id).encode(), partitions_of(consumer, AUDIT))
        # The end as it is now: OFFSET_END would be looked up only when the first fetch is sent.
        _, high = cast(tuple[int, int], consumer.get_watermark_offsets(TopicPartition(AUDIT, number), timeout=WITHIN_S))
        consumer.assign([TopicPartition(AUDIT, number, high if high >= 0 else OFFSET_END)])

    def _send(self, event: AcknowledgementEvent, value: bytes) -> None:
        reports: list[Any] = []
        self._producer.produce(
            topics.ACKNOWLEDGEMENTS,
            value,
            key=str(event.case_id).encode(),
            on_delivery=lambda error, _: reports.append(error),
        )
        self._producer.flush(WITHIN_S + 5.0)
        if not reports or reports[0] is not None:
            reason = in_words(reports[0]) if reports else "no answer"
            raise NotAcknowledgedError(f"the answer is not confirmed by the broker ({reason}): give it again")

    def _verdict(self, consumer: Consumer, event_id: UUID, within_s: float) -> AuditEntry:
        needle = str(event_id).encode()
        deadline = time.monotonic() + within_s
        skipper = Skipper(consumer)
        while (left := deadline - time.monotonic()) > 0:
            message = consumer.poll(min(left, 0.5))
            if message is None or skipper.skipped(message) is not None:
                continue
            value = None if message.error() is not None else message.value()
            if value is not None and needle in value:
                try:
                    entry = self._serde.decode(value, topics.AUDIT)
                except (UndecodableError, InvalidEventError):
                    continue
                if isinstance(entry, AuditEntry) and entry.attributes.get("ack_event_id") == str(event_id):
                    return entry
        raise NoVerdictError(
            f"the answer is stored, but no verdict came within {within_s:g} s: is the escalation stage running?"
        )
