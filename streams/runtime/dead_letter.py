"""What cannot be processed keeps its bytes, and says in headers where it came from and why (after KIP-1034)."""

from __future__ import annotations

import time
from uuid import UUID, uuid5

from schemas.ids import NAMESPACE
from streams.runtime.records import Outgoing, Problem, RawInput

DEAD_LETTER_TOPIC = "vigia.dead-letters"

#: Kafka Streams (KIP-1034) writes `__streams.errors.*`; ours say whose they are.
PREFIX = "vigia.errors."
#: How often this record has been redriven from the dead letters; its value goes up by one at each redrive.
ATTEMPT = "vigia.attempt"


def case_id_of(raw: RawInput) -> UUID:
    """The case a broken record belongs to: its key where that is a UUID, else an id made from where it lies."""
    try:
        return UUID((raw.key or b"").decode("ascii"))
    except ValueError:
        return uuid5(NAMESPACE, f"unknown-case\n{raw.topic}\n{raw.number}\n{raw.offset}")


def event_id_of(raw: RawInput) -> UUID:
    """Id of the dead letter, made from where the record lies: the same record has the same id in a replay."""
    return uuid5(NAMESPACE, f"dead-letter\n{raw.topic}\n{raw.number}\n{raw.offset}")


def attempt_of(raw: RawInput) -> int:
    """How often the record was redriven before; 0 for one that comes for the first time."""
    for name, value in raw.headers:
        if name == ATTEMPT and value.isdigit():
            return int(value)
    return 0


def dead_letter(raw: RawInput, stage: str, problem: Problem, topic: str = DEAD_LETTER_TOPIC) -> Outgoing:
    """The record for the dead-letter topic: key, value and headers untouched, ours added."""
    added = {
        "stage": stage,
        "reason": problem.reason,
        "message": problem.detail,
        "topic": raw.topic,
        "partition": str(raw.number),
        "offset": str(raw.offset),
        "timestamp": str(int(time.time() * 1000)),
        "attempt": str(attempt_of(raw)),
    }
    kept = tuple((name, value) for name, value in raw.headers if not name.startswith(PREFIX))
    return Outgoing(
        topic, raw.key, raw.value, headers=kept + tuple((PREFIX + name, text.encode()) for name, text in added.items())
    )
