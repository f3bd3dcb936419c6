"""Ids are the same today and in a replay: these values must never change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import ids

HASH = "ab" * 32
TOKEN = "t" * 64
AT = datetime(2026, 3, 1, 12, 30, 0, 123456, tzinfo=UTC)
CASE = ids.case_id(TOKEN, HASH, AT)


def test_ids_have_not_changed_since_the_first_release() -> None:
    assert UUID("c3ea39c3-ae98-5e4b-a198-9d18822b5aaf") == CASE
    assert ids.case_event_id(CASE, "emergency") == UUID("0840c63e-d5da-59d4-9a28-45fc6f3b86e5")
    assert ids.case_event_id(CASE, "emergency", "ab") not in (CASE, ids.case_event_id(CASE, "emergency"))
    assert ids.derived_id(CASE, "grading", "1.0.0") == UUID("b7db4651-2c17-55df-a2f9-a1f92f208acb")
    assert ids.escalation_id(CASE, "human_review") == UUID("7bf64c4e-3689-5a8e-bd3c-a5ffa70cbfce")
    assert ids.escalation_event_id(CASE, 2) == UUID("e321d2dc-2da5-59ef-8287-df9860bbfd10")


def test_the_same_instant_in_another_time_zone_is_the_same_case() -> None:
    santiago = AT.astimezone(timezone(timedelta(hours=-3)))
    assert ids.case_id(TOKEN, HASH, santiago) == CASE


@pytest.mark.parametrize(
    "other",
    [
        ids.case_id("u" * 64, HASH, AT),
        ids.case_id(None, HASH, AT),
        ids.case_id(TOKEN, "cd" * 32, AT),
        ids.case_id(TOKEN, HASH, AT + timedelta(microseconds=1)),
    ],
)
def test_another_patient_picture_or_time_is_another_case(other: UUID) -> None:
    assert other != CASE


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="captured_at must have a time zone"):
        ids.case_id(TOKEN, HASH, AT.replace(tzinfo=None))


@given(st.uuids(), st.sampled_from(["inference", "grading"]), st.sampled_from(["1", "2"]))
def test_kinds_of_ids_never_meet(source: UUID, stage: str, version: str) -> None:
    made = {
        ids.case_event_id(source, stage),
        ids.derived_id(source, stage, version),
        ids.escalation_id(source, stage),
        ids.escalation_event_id(source, int(version)),
        source,
    }
    assert len(made) == 5
    assert all(each.version == 5 for each in made - {source})
