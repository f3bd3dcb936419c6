"""An entry of the state that cannot be read stops nothing, is kept, and people are asked once."""

from __future__ import annotations

import json
from dataclasses import replace
from uuid import uuid4

import pytest

from schemas.envelope.audit import sha256_hex
from streams import topics
from streams.runtime.records import Outgoing
from streams.runtime.state import PartitionState, UnreadableEntry
from streams.stages.escalation.state import EscalationState, case_of_unreadable
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import opened
from tests.unit.runtime.test_loop import GENERATION, PARTITION, Bench


@pytest.mark.parametrize("damage", [b"", b"short", bytes(32) + b"{", bytes(32) + b'{"version":2}', bytes(32) + b"[]"])
def test_one_unreadable_entry_does_not_keep_the_others_from_being_restored(damage: bytes) -> None:
    first, second = (opened(decision("stage_4"), number=number, case=number) for number in (1, 2))
    state = PartitionState(EscalationState())
    changes = [EscalationState().put(escalation, "0" * 64) for escalation in (first, second)]
    state.restore(changes[0].key, changes[0].value, 4, 1_000)
    state.restore(b"s" + uuid4().bytes, damage, 5, 2_000)
    state.restore(changes[1].key, changes[1].value, 6, 3_000)
    assert {state.own.get(each.escalation_id) is not None for each in (first, second)} == {True}
    assert [(entry.value, entry.offset) for entry in state.unreadable.values()] == [(damage, 5)]


def test_the_case_of_a_newer_versions_entry_is_found_and_that_of_a_damaged_one_is_none() -> None:
    escalation = opened(decision("stage_4"))
    newer = json.loads(escalation.to_json()) | {"version": 2}
    assert case_of_unreadable(bytes(32) + json.dumps(newer).encode()) == escalation.event.case_id
    assert case_of_unreadable(bytes(32) + b"\xff") is None
    assert case_of_unreadable(bytes(32) + b"[" * 100_000) is None


def asked(bench: Bench) -> list[Outgoing]:
    bench.loop.ask_about_state()
    batch = bench.outbox.take(PARTITION, 1_000)
    if batch is None:
        return []
    bench.outbox.committed(PARTITION, GENERATION, batch)
    return list(batch.records)


def test_it_becomes_a_dead_letter_with_its_bytes_and_at_the_next_takeover_not_again() -> None:
    bench = Bench()
    # What the counting stage, which reads any value, cannot read is put where `restore` would.
    bench.states[PARTITION].unreadable[b"s2"] = UnreadableEntry(b"newer", 5, 2_000)
    records = asked(bench)
    (letter,) = (record for record in records if record.topic == topics.DEAD_LETTERS)
    assert (letter.key, letter.value) == (b"s2", b"newer")
    assert any(record.topic == topics.AUDIT for record in records)
    assert asked(bench) == []
    (note,) = (record for record in records if record.topic == bench.stage.state_topic)
    assert note.key is not None
    assert note.value == sha256_hex(b"newer").encode()
    again = Bench()
    again.states[PARTITION].restore(note.key, note.value)
    again.states[PARTITION].unreadable[b"s2"] = UnreadableEntry(b"newer", 5, 2_000)
    assert asked(again) == []
    again.states[PARTITION].unreadable[b"s2"] = UnreadableEntry(b"another", 9, 2_000)
    assert asked(again) != [], "another content is another question"


def test_what_a_newer_version_wrote_is_written_back_by_an_older_one() -> None:
    escalation = opened(decision("stage_4"))
    plain = json.loads(escalation.to_json())
    plain["new"], plain["event"]["newer"] = [1], {"a": 2}
    read = type(escalation).from_json(json.dumps(plain).encode())
    raised = replace(read, event=replace(read.event, level=read.event.level + 1))
    written = json.loads(raised.to_json())
    assert (written["new"], written["event"]["newer"]) == ([1], {"a": 2})
    assert written["event"]["level"] == escalation.event.level + 1
