"""What becomes of an input that cannot be processed: its dead letter, the audit entry, and what asks people to look.

Total: for any record there are such outputs, and the broker takes them. A value that does not fit is kept in the record
store, and where that is away it stays in the topic, with a pointer to it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Protocol

from schemas.envelope.audit import sha256_hex
from schemas.envelope.dead_letter import READER, case_id_of, event_id_of
from schemas.envelope.raw import RawRecord
from schemas.events import PipelineStage
from streams import metrics
from streams.pipeline import further_reader
from streams.runtime.dead_letter import dead_letter, is_pointer
from streams.runtime.encoding import ResultEncoder
from streams.runtime.records import AuditNote, EventT, InputProblem, Outgoing, Result, StateT
from streams.runtime.stage import Stage
from streams.topics import DEAD_LETTERS

logger = logging.getLogger(__name__)

#: How long the record store may take. An emergency may wait behind this record; its bytes remain in the topic.
STORE_WITHIN_S = 3.0


class ValueStore(Protocol):
    """Keeps values that no dead letter can hold (`streams.images.records`)."""

    def put(self, data: bytes) -> str:
        """Keep the bytes under their hash; returns their address. Blocking; raises what its storage raises."""


def quarantined(
    stage: Stage[EventT, StateT],
    encoder: ResultEncoder,
    raw: RawRecord,
    event: EventT | None,
    problem: InputProblem,
    *,
    stored: str | None = None,
) -> list[Outgoing]:
    """The records about an input that `stage` does not process; `event` is None where it could not be decoded.

    Of a `raw` whose value is not here (`held` is False) or does not fit, the dead letter is a pointer; `stored` is the
    address of the bytes. Raises nothing for a reason that lies in the record.
    """
    raw = replace(raw, reader=further_reader(raw.topic, stage.name))
    metrics.DEAD_LETTERS.labels(stage.name, problem.reason).inc()
    logger.warning("%s[%s]@%s to dead letters: %s", raw.topic, raw.partition, raw.offset, problem.reason)
    letter = dead_letter(raw, stage.name, problem, stored=stored)
    note = AuditNote(
        event_id=event_id_of(raw),
        case_id=case_id_of(raw),
        topic=DEAD_LETTERS,
        outcome=f"dead_letter:{problem.reason}",
        stage=PipelineStage.QUARANTINE,
        output_hash=sha256_hex(letter.value),
        parent_hash=raw.value_hash,
        attributes={
            "stage": stage.name,
            "topic": raw.topic,
            "partition": str(raw.partition),
            "offset": str(raw.offset),
            **({READER: raw.reader} if raw.reader else {}),
            **({"pointer": "1"} if is_pointer(letter.headers) else {}),
        },
    )
    # What nobody has read has no hash: what follows hangs on the pointer to it then.
    cause = raw.value_hash or note.output_hash
    try:
        told = encoder.records(raw, cause, stage.on_problem(raw, event, problem))
    except Exception as error:
        # Something in the event kept it from being passed on: people are asked about the record as such.
        logger.error("asking with less about %s[%s]@%s: %s", raw.topic, raw.partition, raw.offset, type(error).__name__)
        told = encoder.records(raw, cause, stage.on_problem(_bare(raw), None, problem))
    return [letter, *told, *encoder.records(raw, cause, Result(notes=(note,)))]


def quarantined_pointer(
    stage: Stage[EventT, StateT],
    encoder: ResultEncoder,
    raw: RawRecord,
    problem: InputProblem,
    *,
    stored: str | None = None,
) -> list[Outgoing]:
    """The least that can be said of an input, whatever it is: a pointer, the audit entry, the request to people.

    Key and headers are left out but for a key that names a case. `raw` may be `schemas.envelope.raw.unread(topic,
    partition, offset)` where nothing but the position is known.
    """
    pointed = replace(_bare(raw), value=None, held=False, size=raw.value_size, sha256=raw.value_hash)
    return quarantined(stage, encoder, pointed, None, problem, stored=stored)


async def stored(store: ValueStore | None, raw: RawRecord) -> str | None:
    """Keep the record's value in the store: its address there, None where it is in the topic only."""
    if store is None or not raw.held or not raw.value:
        return None
    try:
        return await asyncio.wait_for(asyncio.to_thread(store.put, raw.value), STORE_WITHIN_S)
    except Exception as error:
        logger.warning(
            "%s[%s]@%s is kept in its topic only: %s", raw.topic, raw.partition, raw.offset, type(error).__name__
        )
        return None


def _bare(raw: RawRecord) -> RawRecord:
    """The record without what whoever published it may have made too much of."""
    named = case_id_of(raw) != case_id_of(replace(raw, key=None))
    return replace(raw, key=raw.key if named else None, headers=())
