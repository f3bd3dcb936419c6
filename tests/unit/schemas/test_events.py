"""Events are immutable values that cannot hold what cannot be true."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.errors import InvalidEventError
from schemas.events import (
    AcknowledgementEvent,
    AuditEntry,
    BradenSubscores,
    Finding,
    InfectionSign,
    Lane,
    ModelStatus,
    PatientContext,
    Record,
    Region,
    Severity,
    StageClass,
)
from tests.unit.schemas import samples

NAN, INFINITY = math.nan, math.inf


def change(event: Record, **values: Any) -> Record:
    return dataclasses.replace(event, **values)  # type: ignore[type-var]


IMPOSSIBLE: list[tuple[Record, str, Any]] = [
    (samples.CONTEXT, "age", 400),
    (samples.CONTEXT, "age", -1),
    (samples.CONTEXT, "age", "85"),
    (samples.CONTEXT, "age", True),
    (samples.CONTEXT, "diabetes", "yes"),
    (samples.CONTEXT, "diabetes", 1),
    (samples.CONTEXT, "braden_score", 5),
    (samples.CONTEXT, "braden_score", 24),
    (samples.CONTEXT, "risk_score", 5),
    (samples.CONTEXT, "albumin_g_dl", NAN),
    (samples.CONTEXT, "albumin_g_dl", 35.0),
    (samples.CONTEXT, "albumin_g_dl", False),
    (samples.CONTEXT, "skin_tone_monk", 0),
    (samples.CONTEXT, "skin_tone_monk", 11),
    (samples.CONTEXT, "fitzpatrick", 7),
    (samples.CONTEXT, "medications", ["warfarin"]),
    (samples.CONTEXT, "medications", "warfarin"),
    (samples.CONTEXT, "medications", ("",)),
    (samples.CONTEXT, "infection_signs", (InfectionSign.UNKNOWN,)),
    (samples.CONTEXT, "infection_signs", ("fever",)),
    (samples.CONTEXT, "anatomical_location", "sacrum"),
    (samples.CONTEXT, "braden_subscores", {"sensory": 1}),
    (samples.IMAGE, "sha256", "b" * 63),
    (samples.IMAGE, "sha256", "B" * 64),
    (samples.IMAGE, "sha256", "b" * 64 + "\n"),
    (samples.IMAGE, "size_bytes", -1),
    (samples.IMAGE, "size_bytes", 2**63),
    (samples.IMAGE, "uri", "/etc/passwd"),
    (samples.IMAGE, "uri", ""),
    (samples.IMAGE, "media_type", "picture"),
    (samples.FINDING, "confidence", NAN),
    (samples.FINDING, "confidence", 1.01),
    (samples.FINDING, "confidence", -0.01),
    (samples.FINDING, "confidence", INFINITY),
    (samples.FINDING, "stage", "stage_3"),
    (samples.FINDING, "probabilities", {"stage_1": NAN}),
    (samples.FINDING, "probabilities", {1: 0.5}),
    (samples.FINDING, "probabilities", [0.5]),
    (samples.FINDING, "quality", {"sharpness": NAN}),
    (samples.FINDING, "quality", {"sharpness": INFINITY}),
    (samples.CASE_EVENT, "lane", Lane.UNKNOWN),
    (samples.CASE_EVENT, "lane", "emergency"),
    (samples.CASE_EVENT, "event_id", "22222222-2222-5222-8222-222222222222"),
    (samples.CASE_EVENT, "captured_at", datetime(2026, 3, 1)),
    (samples.CASE_EVENT, "captured_at", 1_700_000_000),
    (samples.CASE_EVENT, "patient_token", "CD-2025-001"),
    (samples.CASE_EVENT, "patient_token", "EMERGENCY-2025-001"),
    (samples.CASE_EVENT, "patient_token", "a" * 32 + "\n"),
    (samples.CASE_EVENT, "producer", ""),
    (samples.CASE_EVENT, "context", None),
    (samples.INFERENCE_EVENT, "model_status", ModelStatus.UNKNOWN),
    (samples.INFERENCE_EVENT, "findings", ()),
    (samples.GRADING_EVENT, "severity", Severity.UNKNOWN),
    (samples.GRADING_EVENT, "follow_up_s", 0),
    (samples.GRADING_EVENT, "policy_hash", "abc"),
    (samples.REQUEST, "respond_within_s", 0),
    (samples.ESCALATION_EVENT, "level", -1),
    (samples.ACKNOWLEDGEMENT_EVENT, "resolved_stage", StageClass.UNKNOWN),
    (samples.ACKNOWLEDGEMENT_EVENT, "acknowledged_by", "Dr. Pérez"),
    (samples.AUDIT_ENTRY, "output_hash", ""),
    (samples.AUDIT_ENTRY, "attributes", {"share": 0.5}),
    (samples.MODEL_CONTROL_EVENT, "share", 1.5),
]


@pytest.mark.parametrize(("event", "field", "value"), IMPOSSIBLE)
def test_an_impossible_value_is_an_error_that_names_the_field_and_not_the_value(
    event: Record, field: str, value: Any
) -> None:
    with pytest.raises(InvalidEventError) as caught:
        change(event, **{field: value})
    error = caught.value
    assert error.field == field
    assert error.record == type(event).__name__
    assert str(error) == f"{error.record}.{field} {error.problem}"
    assert "\n" not in str(error)
    if isinstance(value, str) and value:
        assert value.strip() not in str(error)


@pytest.mark.parametrize("sub", ["sensory", "moisture", "activity", "mobility", "nutrition", "friction"])
def test_braden_subscores_lie_in_their_ranges(sub: str) -> None:
    least = dict.fromkeys(("sensory", "moisture", "activity", "mobility", "nutrition", "friction"), 1)
    highest = 3 if sub == "friction" else 4
    assert BradenSubscores(**least | {sub: highest}).total == 5 + highest
    for value in (0, highest + 1):
        with pytest.raises(InvalidEventError, match=sub):
            BradenSubscores(**least | {sub: value})


@pytest.mark.parametrize("event", samples.ALL, ids=lambda event: type(event).__name__)
def test_events_are_immutable(event: Record) -> None:
    first = dataclasses.fields(event)[0].name  # type: ignore[arg-type]
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(event, first, None)
    with pytest.raises((AttributeError, TypeError)):
        event.another = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("event", samples.ALL, ids=lambda event: type(event).__name__)
def test_events_survive_copying_and_pickling(event: Record) -> None:
    assert copy.deepcopy(event) == event
    # Events cross into worker processes; these bytes are our own.
    assert pickle.loads(pickle.dumps(event)) == event


def test_absent_context_is_unknown_and_not_false() -> None:
    assert all(value is None for value in dataclasses.asdict(PatientContext()).values())  # type: ignore[call-overload]


def test_the_text_form_of_an_event_names_what_is_known_of_the_patient_but_no_value() -> None:
    context = PatientContext(age=97, medications=("acenocoumarol",))
    assert repr(context) == "PatientContext(known: age, medications)"
    shown = repr(change(samples.CASE_EVENT, context=samples.CONTEXT))
    assert "85" not in shown
    assert "sensory" not in shown


def test_a_location_and_a_class_may_be_unknown_since_the_rules_have_an_answer_to_that() -> None:
    assert Finding(stage=StageClass.UNKNOWN).stage is StageClass.UNKNOWN


def test_a_model_may_leave_confidence_out() -> None:
    assert Finding(stage=StageClass.STAGE_2).confidence is None


def test_a_case_that_failed_has_no_findings() -> None:
    failed = change(samples.INFERENCE_EVENT, model_status=ModelStatus.FAILED, findings=(), failure="model_nan")
    assert failed != samples.INFERENCE_EVENT


@given(st.integers(-14 * 60, 14 * 60), st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)))
def test_a_time_with_an_offset_becomes_the_same_instant_in_utc(minutes: int, local: datetime) -> None:
    moment = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    event: Any = change(samples.TICK_EVENT, now=moment)
    assert event.now == moment
    assert event.now.tzinfo is UTC


def test_whole_numbers_are_welcome_where_numbers_are() -> None:
    assert PatientContext(albumin_g_dl=3).albumin_g_dl == 3


def test_a_region_lies_within_the_picture() -> None:
    with pytest.raises(InvalidEventError, match=r"Region\.x"):
        Region(x=120.0, y=0.1, w=0.2, h=0.2)


def test_an_audit_entry_may_begin_a_chain() -> None:
    first: Any = change(samples.AUDIT_ENTRY, source_event_id=None, input_hash=None)
    assert isinstance(first, AuditEntry)
    assert first.input_hash is None


def test_an_acknowledgement_needs_no_staging() -> None:
    plain: Any = change(samples.ACKNOWLEDGEMENT_EVENT, resolved_stage=None, acknowledged_by=None)
    assert isinstance(plain, AcknowledgementEvent)
