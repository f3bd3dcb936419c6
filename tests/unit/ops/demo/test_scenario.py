"""What the demo publishes: everything a newcomer should see, and every context one that the clinical rules take."""

from __future__ import annotations

from datetime import UTC, datetime

from inference.findings import CLASSES
from ops.demo.scenario import CONTEXTS, MONK_TONES, SPECIAL, InputKind, plan
from schemas.events import Lane
from streams.client.cases import lane_of
from streams.clinical.context import read_context

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_every_class_on_every_tone_two_emergencies_last_a_broken_file_and_a_copy() -> None:
    planned = list(plan(21, 7, NOW, side=64))
    assert len(planned) == 21 + SPECIAL
    assert {each.title for each in planned[:21]} == {f"{name}, Monk {tone}" for name in CLASSES for tone in MONK_TONES}
    assert [lane_of(each.case) for each in planned] == [Lane.ROUTINE] * 23 + [Lane.EMERGENCY] * 2
    assert planned[-2].case.patient_code == "EMERGENCY-2025-001"
    assert planned[-2].case.processing_options == {"analysis_type": "emergency"}
    assert [each.kind for each in planned].count(InputKind.BROKEN) == 1
    (copy,) = [each for each in planned if each.kind is InputKind.DUPLICATE]
    assert copy.case is planned[0].case
    for each in planned:
        read_context(each.case.context)


def test_the_patients_differ_in_what_is_known_of_them() -> None:
    known = {name for context in CONTEXTS for name in context}
    assert {"diabetes", "anticoagulants", "braden_score", "immunosuppression", "infection_signs"} <= known
