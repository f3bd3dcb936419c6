"""A synthetic case asks nobody, so it must be the canary's and nobody's patient."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.canary import canary_proof, is_canary
from schemas.errors import InvalidEventError
from schemas.events import PatientContext
from tests.unit.schemas import samples

KEY = b"k" * 32
CANARY = replace(
    samples.CASE_EVENT, synthetic=True, patient_token=None, context=PatientContext(), producer="canary", proof="0" * 64
)


@pytest.mark.parametrize(
    "change",
    [
        {"patient_token": samples.PATIENT},
        {"context": PatientContext(age=80)},
        {"context": PatientContext(diabetes=False)},
        {"producer": "tablet-3"},
        {"proof": None},
    ],
)
def test_a_synthetic_case_of_anybody_is_an_invalid_event(change: dict[str, object]) -> None:
    with pytest.raises(InvalidEventError, match=r"CaseEvent\.synthetic is for the canary alone"):
        replace(CANARY, **change)


def test_a_case_that_is_not_synthetic_needs_no_proof() -> None:
    assert replace(CANARY, synthetic=False, proof=None, producer="tablet-3", patient_token=samples.PATIENT)


@given(st.binary(min_size=32, max_size=64), st.uuids(), st.uuids())
def test_a_proof_is_of_one_case_under_one_key(key: bytes, case_id: UUID, other: UUID) -> None:
    proof = canary_proof(key, case_id)
    assert is_canary(key, case_id, proof)
    assert is_canary(key, other, proof) is (case_id == other)
    assert not is_canary(key + b"x", case_id, proof)
    assert not is_canary(None, case_id, proof)
    assert not is_canary(key, case_id, None)


def test_a_proof_is_no_other_hmac_under_that_key() -> None:
    assert canary_proof(KEY, uuid4()) != canary_proof(KEY, uuid4())
