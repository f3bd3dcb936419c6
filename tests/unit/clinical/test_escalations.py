"""What the state topic holds can be read again, by this version and by the next."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Lane, PatientContext
from streams.clinical.decide import decide
from streams.clinical.escalations import EscalationStateError, OpenEscalation
from streams.clinical.lesions import RawFinding
from streams.stages.policy.file import packaged_policy
from tests.unit.clinical.cases import decision
from tests.unit.clinical.escalations import LADDER, START, opened
from tests.unit.clinical.strategies import contexts, measured


@given(
    finding=measured(),
    context=contexts,
    acknowledged=st.booleans(),
    micros=st.integers(0, 10**12),
)
def test_a_state_reads_back_as_it_was(
    finding: RawFinding, context: PatientContext, acknowledged: bool, micros: int
) -> None:
    made = decide(packaged_policy(), [finding], context, lane=Lane.EMERGENCY)
    state = opened(made, at=START + timedelta(microseconds=micros))
    if acknowledged:
        taken = START + timedelta(microseconds=micros)
        state = replace(
            state, acknowledged_at=taken, acknowledged_role=LADDER[1], resolve_by=taken + timedelta(hours=1)
        )
    data = state.to_json()
    again = OpenEscalation.from_json(data)
    assert again == state
    assert again.to_json() == data
    assert b"\n" not in data


def test_a_state_without_a_picture_or_a_stage_reads_back_too() -> None:
    state = opened(decision(None, None))
    state = replace(state, event=replace(state.event, image=None, patient_token=None))
    assert OpenEscalation.from_json(state.to_json()) == state


def test_fields_that_a_newer_version_adds_or_an_older_one_did_not_have_are_no_obstacle() -> None:
    state = opened(decision(None, None))
    state = replace(state, event=replace(state.event, image=None, recommendations=()))
    plain = json.loads(state.to_json())
    plain["new"] = 1
    plain["event"]["newer"] = 2
    del plain["event"]["image"], plain["event"]["recommendations"], plain["event"]["synthetic"]
    assert replace(OpenEscalation.from_json(json.dumps(plain).encode()), unknown="") == state


def test_states_share_their_sentences() -> None:
    one, other = (OpenEscalation.from_json(opened(case=case).to_json()) for case in (1, 2))
    assert one != other
    assert one.event.reasons is other.event.reasons
    assert one.event.disclaimer is other.event.disclaimer
    assert one.ladder is other.ladder


@pytest.mark.parametrize(
    "data",
    [
        b"", b"null", b"[]", b"\xff", b'{"version":1}', b'{"version":1,"event":{},"ladder":[],"acknowledged_at":null}',
        b"[" * 100_000, b'{"version":1,"acknowledged_at":Infinity}',
    ],
    ids=lambda data: data[:40].decode("latin-1"),
)  # fmt: skip
def test_other_bytes_are_refused_without_showing_them(data: bytes) -> None:
    with pytest.raises(EscalationStateError, match="no escalation state"):
        OpenEscalation.from_json(data)


def test_a_state_that_could_not_be_written_again_is_refused() -> None:
    """Half of a surrogate pair: the next tick that changes it would fail, and with it all that is due."""
    plain = json.loads(opened().to_json()) | {"ladder": ["\ud800"]}
    with pytest.raises(EscalationStateError, match="no escalation state"):
        OpenEscalation.from_json(json.dumps(plain).encode())
    raw = json.dumps(plain, ensure_ascii=False).encode("utf-8", "surrogatepass")
    with pytest.raises(EscalationStateError, match="no escalation state"):
        OpenEscalation.from_json(raw)
    sound = json.loads(opened().to_json()) | {"ladder": ["enfermería"]}
    assert OpenEscalation.from_json(json.dumps(sound).encode()).ladder == ("enfermería",)


def test_a_state_of_a_newer_version_is_refused_by_name() -> None:
    plain = json.loads(opened().to_json()) | {"version": 2}
    with pytest.raises(EscalationStateError, match="version 2"):
        OpenEscalation.from_json(json.dumps(plain).encode())


def test_what_was_taken_up_before_there_was_a_time_to_resolve_is_asked_again_after_a_day() -> None:
    state = replace(opened(), acknowledged_at=START, acknowledged_role=LADDER[0], resolve_by=START)
    old = json.loads(state.to_json())
    del old["resolve_within_s"], old["resolve_by"]
    assert OpenEscalation.from_json(json.dumps(old).encode()).next_due == START + timedelta(days=1)
