"""What cannot be processed keeps its bytes, and says in headers where it came from and why (after KIP-1034)."""

from __future__ import annotations

import time

from schemas.envelope.dead_letter import PREFIX, READER, attempt_of
from schemas.envelope.raw import RawRecord
from streams.runtime.records import InputProblem, Outgoing
from streams.topics import DEAD_LETTERS


def dead_letter(raw: RawRecord, stage: str, problem: InputProblem, topic: str = DEAD_LETTERS) -> Outgoing:
    """The record for the dead-letter topic: key, value and headers untouched, ours added."""
    added = {
        "stage": stage,
        "reason": problem.reason,
        "message": problem.detail,
        "topic": raw.topic,
        "partition": str(raw.partition),
        "offset": str(raw.offset),
        "timestamp": str(int(time.time() * 1000)),
        "attempt": str(attempt_of(raw)),
        **({READER: raw.reader} if raw.reader else {}),
    }
    kept = tuple((name, value) for name, value in raw.headers if not name.startswith(PREFIX))
    return Outgoing(
        topic, raw.key, raw.value, headers=kept + tuple((PREFIX + name, text.encode()) for name, text in added.items())
    )
