"""Entries of a state topic that this version cannot read: those of a newer one, or damaged ones.

They stop nobody else's work. The bytes stay in the state topic as they are, for a version that can read them; a copy
becomes a dead letter, and people are asked about the case, once.
"""

from __future__ import annotations

from schemas.envelope.audit import sha256_hex
from schemas.envelope.raw import RawRecord
from streams.runtime.encoding import ResultEncoder
from streams.runtime.quarantine import quarantined
from streams.runtime.records import EventT, InputProblem, Outgoing, StateT
from streams.runtime.stage import Stage
from streams.runtime.state import PartitionState

#: Prefix of the note that says that people were asked; the rest is the entry's key.
_ASKED = b"unreadable:"


def requests(
    stage: Stage[EventT, StateT], encoder: ResultEncoder, partition: int, state: PartitionState[StateT]
) -> list[Outgoing]:
    """What asks people about the partition's unreadable entries, but for those of which they were asked before."""
    records: list[Outgoing] = []
    for key, entry in state.unreadable.items():
        name, content = _ASKED + key, sha256_hex(entry.value).encode()
        if state.notes.get(name) == content:
            continue
        case_id = stage.case_of_entry(key[1:], entry.value)
        raw = RawRecord(
            topic=stage.state_topic,
            partition=partition,
            offset=entry.offset,
            timestamp_ms=entry.timestamp_ms,
            key=key if case_id is None else str(case_id).encode(),
            value=entry.value,
        )
        problem = InputProblem(reason="state_unreadable", detail="an entry of the state, of a newer version or damaged")
        records += quarantined(stage, encoder, raw, None, problem)
        records.append(encoder.state_record(state.note(name, content), partition))
    return records
