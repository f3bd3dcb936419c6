"""Which escalation an id means: one patient's, or nobody's."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from streams.client.acknowledge import AmbiguousEscalationError, UnknownEscalationError, newest
from tests.unit.clinical.escalations import opened


def test_an_escalation_is_answered_as_it_was_last_published() -> None:
    first = opened().event
    levels = [first, replace(first, level=2), replace(first, level=1)]
    assert newest(first.escalation_id, levels).level == 2
    with pytest.raises(UnknownEscalationError):
        newest(first.escalation_id, [])


def test_an_id_that_two_patients_share_is_answered_for_neither() -> None:
    first = opened().event
    others = replace(first, case_id=uuid4(), level=1)
    with pytest.raises(AmbiguousEscalationError, match=str(others.case_id)):
        newest(first.escalation_id, [first, others])
