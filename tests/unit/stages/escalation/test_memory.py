"""What the escalation state forgets, and when; and how clinicians' staging is held against the model's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from schemas.events import AuditEntry, PipelineStage, StageClass
from streams.clinical.ground_truth import GroundTruth, Relation, compare
from streams.stages.escalation import state as escalation_state
from streams.stages.escalation.state import CLOSED_FOR_S, EscalationState
from tests.unit.clinical.escalations import START, opened

MINUTE = timedelta(minutes=1)


def test_a_closed_escalation_is_remembered_over_a_restart_and_forgotten_in_time() -> None:
    state, restored = EscalationState(), EscalationState()
    first, later = UUID(int=1), UUID(int=2)
    for change in state.close(first, 1_000):
        assert change.value is not None
        restored.restore(change.key[1:], change.value)
    assert restored.was_closed(first)
    changes = list(restored.close(later, 1_001 + CLOSED_FOR_S))
    assert [change.value is None for change in changes] == [False, True]
    assert not restored.was_closed(first)
    assert restored.was_closed(later)


def test_closed_escalations_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(escalation_state, "CLOSED_KEPT", 3)
    state = EscalationState()
    for number in range(5):
        list(state.close(UUID(int=number), 1_000))
    assert [state.was_closed(UUID(int=number)) for number in range(5)] == [False, False, True, True, True]


def test_the_longest_overdue_comes_first_and_one_that_was_taken_up_does_not() -> None:
    state = EscalationState()
    by_minute = {minutes: opened(at=START + minutes * MINUTE, case=minutes) for minutes in (5, 1, 3, 100, 2)}
    for each in by_minute.values():
        state.put(each, "a" * 64)
    later = START + timedelta(days=1)
    taken_up = replace(by_minute[2], acknowledged_at=START, acknowledged_role="nurse_specialist", resolve_by=later)
    state.put(taken_up, "a" * 64)
    now = START + 40 * MINUTE
    assert [each.escalation for each in state.due(now, 9)] == [by_minute[minutes] for minutes in (1, 3, 5)]
    assert [each.escalation for each in state.due(now, 2)] == [by_minute[minutes] for minutes in (1, 3)]
    state.remove(by_minute[3])
    assert [each.escalation for each in state.due(now, 2)] == [by_minute[minutes] for minutes in (1, 5)]
    assert state.counted.total() == len(state) == 4
    state.remove(by_minute[1])
    state.remove(by_minute[5])
    state.remove(by_minute[100])
    assert (state.first_due(), state.due(later, 9)[0].escalation) == (later, taken_up)


@pytest.mark.parametrize(
    ("model", "truth", "relation"),
    [
        ("stage_3", "stage_3", "agreement"),
        ("stage_2", "stage_4", "under_staging"),
        ("stage_4", "stage_3", "over_staging"),
        ("stage_2", "unstageable", "under_staging"),
        ("unstageable", "stage_3", "not_comparable"),
        ("none", "dtpi", "under_staging"),
        ("dtpi", "none", "over_staging"),
        ("dtpi", "stage_3", "not_comparable"),
        (None, "stage_3", "not_comparable"),
        ("unknown", "unknown", "not_comparable"),
    ],
)
def test_the_models_class_against_the_clinicians(model: str | None, truth: str, relation: str) -> None:
    assert compare(None if model is None else StageClass(model), StageClass(truth)) is Relation(relation)


def test_a_case_counts_once_by_its_newest_staging() -> None:
    truth, case = GroundTruth(), uuid4()
    for relation in ("under_staging", "agreement"):
        truth.audited(
            AuditEntry(
                event_id=uuid4(),
                case_id=case,
                stage=PipelineStage.ACKNOWLEDGEMENT,
                decided_at=START,
                topic="vigia.acknowledgements",
                outcome="resolved",
                output_hash="0" * 64,
                attributes={"agreement": relation, "model_version": "m1"},
            )
        )
    (version,) = truth.by_version().values()
    assert (version.staged, version.share) == (1, 1.0)
