"""Erases a case from the audit: a tombstone for each of its entries, and one entry that says that and when it was done.

What it does not do, and why: event topics cannot lose single records, only age; pictures may belong to several cases.
So an erasure also tells what is left, where, and until when (`Remains`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

from confluent_kafka import KafkaException

from schemas.envelope.audit import audit_key, sha256_hex
from schemas.errors import OneLineError
from schemas.events import AcknowledgementEvent, AuditEntry, EscalationEvent, PipelineStage
from schemas.serde import Serde
from streams import topics
from streams.audit.facts import INTERNAL
from streams.audit.limits import ERASED
from streams.audit.trail import CaseReader
from streams.broker.clients import transactional_producer
from streams.broker.received import ReceivedEvent
from streams.broker.words import in_words

#: Seconds the broker may take for a transaction of a few dozen small records.
TIMEOUT_S = 30.0
_CONTROL = f"/{PipelineStage.CONTROL.value}/".encode()


class EraseError(OneLineError):
    """Nothing was erased; one line that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """Events of a case in one topic: `until` the last of them is deleted by retention (None: kept for good)."""

    topic: str
    records: int
    until: datetime | None


def erase(reader: CaseReader, serde: Serde, bootstrap_servers: str, case_id: UUID, *, ground: str) -> int:
    """Delete the case's audit entries and write that it was done, in one transaction; returns how many were deleted.

    `ground` is a code that says why. Entries of earlier erasures stay. Raises EraseError, UnreadableError or
    RegistryUnavailableError.
    """
    topic, partition = reader.audit_partition(case_id)
    keys = sorted(key for key in reader.audit_records(case_id) if _CONTROL not in key)
    if not keys:
        return 0
    entry = _entry(case_id, keys, ground)
    own = audit_key(case_id, entry.stage, entry.event_id)
    producer = transactional_producer(bootstrap_servers, f"vigia-audit-erase-{case_id}")
    try:
        producer.init_transactions(TIMEOUT_S)
        producer.begin_transaction()
        for key in keys:
            producer.produce(topic, None, key, partition)
        producer.produce(topic, serde.encode(entry, topics.AUDIT), own, partition)
        producer.commit_transaction(TIMEOUT_S)
    except KafkaException as error:
        raise EraseError(f"the broker did not confirm the erasure: {in_words(error.args[0])}") from None
    return len(keys)


def remains(events: Iterable[ReceivedEvent]) -> list[Remains]:
    """What the event topics still hold of a case, topic by topic."""
    counts: Counter[str] = Counter()
    newest: dict[str, datetime] = {}
    for received in events:
        counts[received.topic] += 1
        if received.timestamp is not None:
            newest[received.topic] = max(received.timestamp, newest.get(received.topic, received.timestamp))
    left: list[Remains] = []
    for topic, records in counts.items():
        kept_ms = topics.BY_NAME[topic].retention_ms
        until = None
        if kept_ms is not None and topic in newest:
            # A segment is deleted as a whole, once its newest record is old enough.
            until = newest[topic] + timedelta(milliseconds=kept_ms + int(topics.BY_NAME[topic].config["segment.ms"]))
        left.append(Remains(topic=topic, records=records, until=until))
    return left


def unanswered(events: Iterable[ReceivedEvent]) -> int:
    """Escalations of the case that nobody has answered: their clock will write new entries."""
    asked = {r.decoded.escalation_id for r in events if isinstance(r.decoded, EscalationEvent) and r.topic in INTERNAL}
    answered = {r.decoded.escalation_id for r in events if isinstance(r.decoded, AcknowledgementEvent)}
    return len(asked - answered)


def _entry(case_id: UUID, keys: list[bytes], ground: str) -> AuditEntry:
    digest = sha256_hex(b"\n".join(keys))
    now = datetime.now(UTC)
    return AuditEntry(
        event_id=uuid5(case_id, f"erasure\n{digest}\n{now.isoformat()}"),
        case_id=case_id,
        stage=PipelineStage.CONTROL,
        decided_at=now,
        topic=topics.AUDIT,
        outcome=ERASED,
        output_hash=digest,
        attributes={"entries": str(len(keys)), "ground": ground},
    )
