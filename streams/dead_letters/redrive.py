"""Sends dead letters back to where they came from: at most a few times, never twice by mistake, and never unseen.

The record and an audit entry about it go out in one transaction, under one transactional id for the whole cluster. A
second redrive that starts meanwhile fences the first, and reads what the first has committed before it sends anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from confluent_kafka import KafkaException, Producer

from schemas.envelope.audit import sha256_hex
from schemas.envelope.dead_letter import ATTEMPT
from schemas.envelope.partitioner import partition_of_case
from schemas.envelope.raw import RawRecord
from schemas.errors import OneLineError
from schemas.events import AuditEntry, PipelineStage
from schemas.serde import Serde
from streams import topics
from streams.audit.limits import REDRIVEN
from streams.broker import clients
from streams.broker.words import in_words
from streams.dead_letters.originals import OriginalGoneError, Originals, Store
from streams.dead_letters.read import MOST_REDRIVES, Audited, DeadLetter, DeadLetters
from streams.pipeline import REDRIVABLE

#: A record that failed so often will fail again: what broke it must be mended first.
MAX_ATTEMPTS = 3
#: Letters a transaction carries; after an interruption, those of the last one are sent by the next redrive.
BATCH = 100
TIMEOUT_S = 30.0
#: Of one record, before it is compressed; no larger one is read by any stage.
MAX_BYTES = 64 * 1024 * 1024


class RedriveError(OneLineError):
    """The broker did not confirm; what was confirmed before is audited, and a new redrive leaves it out."""


class Status(StrEnum):
    """What became of a dead letter."""

    REDRIVEN = "redriven"
    WOULD_BE = "would be redriven"
    ALREADY = "already redriven"
    """Sent again before; only `again` sends it once more."""
    TOO_OFTEN = "too many attempts"
    NOT_OURS = "no stage wrote it"
    """No audit entry speaks of it: whoever put it there wants to have it published in the pipeline's name."""
    NO_STAGE = "no stage reads its topic"
    GONE = "its record is gone"
    """The letter is a pointer, and neither the store nor the topic has the record any more."""


REFUSED = frozenset({Status.TOO_OFTEN, Status.NOT_OURS, Status.NO_STAGE, Status.GONE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How willing to be. `force` passes over `max_attempts`, `again` over an earlier redrive."""

    max_attempts: int = MAX_ATTEMPTS
    force: bool = False
    again: bool = False
    dry_run: bool = False

    def status(self, letter: DeadLetter, audited: Audited) -> Status:
        """What is to become of this letter."""
        if letter.origin is None or not audited.known:
            return Status.NOT_OURS
        if letter.origin.topic not in REDRIVABLE:
            return Status.NO_STAGE
        if audited.redriven and not (self.again and audited.redriven < MOST_REDRIVES):
            return Status.ALREADY
        if letter.attempt >= self.max_attempts and not self.force:
            return Status.TOO_OFTEN
        return Status.WOULD_BE


@dataclass(frozen=True, slots=True)
class Outcome:
    """A letter and what became of it."""

    letter: DeadLetter
    status: Status


def redrive(
    letters: DeadLetters, serde: Serde, chosen: Sequence[DeadLetter], rules: Rules, store: Store | None = None
) -> Iterator[Outcome]:
    """Send these again, as far as the rules let them; the outcome of each comes when the broker has confirmed it.

    `store` has the records that dead letters only point to.

    Raises RedriveError, UnreadableError or RegistryUnavailableError.
    """
    producer = None if rules.dry_run else _producer(letters)
    # Read only now: whoever redrove before us is fenced, and what they committed is to be seen.
    audited = letters.audited(list(chosen))
    originals = Originals(letters, store)
    partitions = {topic: len(letters.places(topic)) for topic in {topics.AUDIT, *_targets(chosen)}}
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        status = {letter.address: rules.status(letter, audited[letter.address]) for letter in batch}
        sending: list[tuple[DeadLetter, RawRecord]] = []
        for letter in batch:
            if status[letter.address] is Status.WOULD_BE:
                try:
                    sending.append((letter, originals.of(letter)))
                except OriginalGoneError:
                    status[letter.address] = Status.GONE
        if producer is not None and sending:
            try:
                producer.begin_transaction()
                for letter, original in sending:
                    count = audited[letter.address].redriven + 1
                    _send(producer, letters.prefix, serde, letter, original, count, partitions)
                producer.commit_transaction(TIMEOUT_S)
            except KafkaException as error:
                raise RedriveError(f"the broker did not confirm: {in_words(error.args[0])}; run it again") from None
            status.update((letter.address, Status.REDRIVEN) for letter, _ in sending)
        yield from (Outcome(letter, status[letter.address]) for letter in batch)


def _targets(chosen: Sequence[DeadLetter]) -> set[str]:
    return {letter.origin.topic for letter in chosen if letter.origin is not None and letter.origin.topic in REDRIVABLE}


def _send(
    producer: Producer,
    prefix: str,
    serde: Serde,
    letter: DeadLetter,
    origin: RawRecord,
    count: int,
    partitions: dict[str, int],
) -> None:
    key = letter.redrive_key(count)
    assert key is not None
    # Back to its own partition, also where another partitioner had put it: the stage saw it there, and forwards it.
    number = origin.partition if origin.partition < partitions[origin.topic] else -1
    headers = [(name, value) for name, value in origin.headers if name != ATTEMPT]
    headers.append((ATTEMPT, str(letter.attempt + 1).encode()))
    producer.produce(prefix + origin.topic, origin.value, origin.key, number, headers=headers)
    entry = _entry(letter, origin, count)
    where = partition_of_case(entry.case_id.bytes, partitions[topics.AUDIT])
    producer.produce(prefix + topics.AUDIT, serde.encode(entry, topics.AUDIT), key, where)


def _entry(letter: DeadLetter, origin: RawRecord, count: int) -> AuditEntry:
    digest = sha256_hex(origin.value)
    assert letter.case_id is not None
    return AuditEntry(
        event_id=letter.redrive_id(count),
        case_id=letter.case_id,
        stage=PipelineStage.QUARANTINE,
        decided_at=datetime.now(UTC),
        topic=origin.topic,
        outcome=REDRIVEN,
        input_hash=digest,
        output_hash=digest,
        attributes={
            "dead_letter": str(letter.address),
            "attempt": str(letter.attempt + 1),
            "reason": letter.reason[:200],
            **({"unread": "1"} if letter.pointer is not None and letter.pointer.sha256 is None else {}),
        },
    )


def _producer(letters: DeadLetters) -> Producer:
    settings = {
        "transactional.id": f"{letters.prefix}vigia-dead-letters-redrive",
        # What a pointer stands for came compressed, and is as large.
        "message.max.bytes": MAX_BYTES,
        "compression.type": "zstd",
    }
    producer = clients.producer(letters.bootstrap_servers, settings)
    try:
        producer.init_transactions(TIMEOUT_S)
    except KafkaException as error:
        raise RedriveError(f"the broker does not answer: {in_words(error.args[0])}") from None
    return producer
