"""Everything that is kept of one case: its audit entries, and the events themselves as long as retention keeps them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from confluent_kafka import Message

from schemas.envelope.dead_letter import PREFIX, case_id_of, origin_of
from schemas.envelope.partitioner import partition_of_case
from schemas.errors import InvalidEventError, UndecodableError
from schemas.events import (
    AcknowledgementEvent,
    AuditEntry,
    CaseEvent,
    EscalationEvent,
    Event,
    GradingEvent,
    InferenceEvent,
    PipelineStage,
)
from schemas.serde import Serde
from streams import topics
from streams.audit.facts import INTO, case_in_key
from streams.audit.limits import ERASED
from streams.broker.cluster import Cluster, spans
from streams.broker.headers import headers_of
from streams.broker.read import Place, UnreadableError
from streams.broker.received import ReceivedEvent, received_event
from streams.pipeline import COVERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """The audit of a case: its entries as they stand, oldest decision first, and when it was erased."""

    entries: tuple[AuditEntry, ...]
    erased_at: datetime | None = None

    def unlinked(self, entry: AuditEntry) -> bool:
        """Whether the entry was derived from something that no entry of this case produced."""
        return entry.input_hash is not None and entry.input_hash not in {each.output_hash for each in self.entries}


class CaseReader:
    """Reads one case; `prefix` stands before every topic's name, as in a mirrored cluster.

    Every method raises UnreadableError or RegistryUnavailableError when the cluster cannot be read.
    """

    def __init__(self, bootstrap_servers: str, serde: Serde, *, prefix: str = "") -> None:
        self.cluster = Cluster(bootstrap_servers)
        self._serde = serde
        self._prefix = prefix

    def audit_partition(self, case_id: UUID) -> Place:
        """Where the case's audit entries lie: topic (with the prefix) and partition."""
        return self._prefix + topics.AUDIT, partition_of_case(case_id.bytes, self._partitions()[topics.AUDIT])

    def audit_records(self, case_id: UUID) -> dict[bytes, bytes]:
        """Key → newest value of the case's audit records; deleted ones are left out."""
        standing: dict[bytes, bytes] = {}
        for message in self._read([self.audit_partition(case_id)]):
            key, value = message.key(), message.value()
            if key is None or case_in_key(key) != case_id.bytes:
                continue
            if value is None:
                standing.pop(key, None)
            else:
                standing[key] = value
        return standing

    def trail(self, case_id: UUID) -> Trail:
        """The case's audit; records that are no entry are left out (verification names them)."""
        entries: list[AuditEntry] = []
        erased_at: datetime | None = None
        for value in self.audit_records(case_id).values():
            try:
                entry = self._serde.decode(value, topics.AUDIT)
            except (UndecodableError, InvalidEventError):
                continue
            if not isinstance(entry, AuditEntry):
                continue
            if entry.stage is PipelineStage.CONTROL and entry.outcome == ERASED:
                erased_at = max(entry.decided_at, erased_at or entry.decided_at)
            else:
                entries.append(entry)
        return Trail(entries=tuple(sorted(entries, key=_in_order)), erased_at=erased_at)

    def events(self, case_id: UUID) -> list[ReceivedEvent]:
        """The case's events and dead letters that are still kept, in the order of time.

        Published events lie where their producer's partitioner put them: where the expected partition has none, all are
        looked at.
        """
        counts = self._partitions()
        number = partition_of_case(case_id.bytes, counts[topics.AUDIT])
        everywhere = [(self._prefix + topics.DEAD_LETTERS, at) for at in range(counts.get(topics.DEAD_LETTERS, 0))]
        places = [(self._prefix + name, number) for name in COVERED if number < counts.get(name, 0)]
        found = self._of_case(case_id, {*places, *everywhere})
        if not any(received.topic in topics.CASES.values() for received in found):
            further = {(self._prefix + name, at) for name in INTO for at in range(counts.get(name, 0))}
            found += self._of_case(case_id, further - set(places))
        # An escalation is raised at the very time of its grading: the way of a case decides.
        return sorted(found, key=lambda received: (moment(received), COVERED.index(received.topic)))

    def _of_case(self, case_id: UUID, places: Iterable[Place]) -> list[ReceivedEvent]:
        key = str(case_id).encode()
        found: list[ReceivedEvent] = []
        for message in self._read(places):
            is_letter = message.topic() == self._prefix + topics.DEAD_LETTERS
            if message.key() == key or (is_letter and _case_of_letter(message) == case_id):
                found.append(self._received(message))
        return found

    def _received(self, message: Message) -> ReceivedEvent:
        return received_of(message, self._serde, (message.topic() or "").removeprefix(self._prefix))

    def _read(self, places: Iterable[Place]) -> Iterable[Message]:
        wanted = list(places)
        stretches = spans(self.cluster.starts(wanted), self.cluster.readable_ends(wanted))
        for chunk in self.cluster.read(stretches):
            yield from chunk

    def _partitions(self) -> dict[str, int]:
        found = self.cluster.partitions()
        counts = {name: found[self._prefix + name] for name in topics.BY_NAME if self._prefix + name in found}
        if topics.AUDIT not in counts:
            raise UnreadableError(f"there is no topic {self._prefix}{topics.AUDIT}: run `vigia topics apply`")
        return counts


def _in_order(entry: AuditEntry) -> tuple[datetime, int]:
    # Entries of one transaction carry one time: the way of a case decides.
    return entry.decided_at, list(PipelineStage).index(entry.stage)


def received_of(message: Message, serde: Serde, topic: str) -> ReceivedEvent:
    """The message, decoded where it can be."""
    decoded: Event | None = None
    failure: UndecodableError | InvalidEventError | None = None
    value = message.value()
    try:
        if value is not None:
            decoded = serde.decode(value, topic)  # type: ignore[assignment]
    except (UndecodableError, InvalidEventError) as error:
        failure = error
    return received_event(message, topic, decoded, failure)


def moment(received: ReceivedEvent) -> datetime:
    """When the event happened, as it says itself; where it cannot say, when it was written."""
    event = None if received.topic == topics.DEAD_LETTERS else received.decoded
    match event:
        case CaseEvent():
            return event.published_at
        case InferenceEvent():
            return event.inferred_at
        case GradingEvent():
            return event.graded_at
        case EscalationEvent():
            return event.raised_at
        case AcknowledgementEvent():
            return event.acknowledged_at
    return received.timestamp or datetime.fromtimestamp(0, UTC)


def _case_of_letter(message: Message) -> UUID | None:
    headers = {name: value for name, value in headers_of(message) if name.startswith(PREFIX)}
    raw = origin_of(message.key(), message.value(), headers, 0)
    return None if raw is None else case_id_of(raw)
