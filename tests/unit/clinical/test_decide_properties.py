"""What holds of every case: a worse one is never answered more mildly, and none goes without an answer."""

from __future__ import annotations

import math
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import EscalationType, Lane, ModelStatus, PatientContext, Severity
from schemas.events import StageClass as Stage
from streams.clinical.decide import decide, decide_lesions, decide_problem
from streams.clinical.lesions import RawFinding
from streams.clinical.policy import Problem
from streams.stages.policy.file import packaged_policy, parse_policy
from tests.unit.clinical.strategies import (
    CLASSES,
    RISKS,
    assert_not_milder,
    confidences,
    contexts,
    findings,
    less_confident,
    measured,
    worse_class,
)

pytestmark = pytest.mark.no_cover

POLICY = packaged_policy()
#: The same file, read a second time.
AGAIN = parse_policy(files("streams.clinical.policy").joinpath("default.yaml").read_text("utf-8"), "again")
RANKED = tuple(POLICY.classes)
lanes = st.sampled_from((Lane.ROUTINE, Lane.EMERGENCY))
lists_of_findings = st.lists(findings, max_size=4)


@settings(max_examples=200)
@given(finding=measured(), context=contexts, other=st.sampled_from(CLASSES), lane=lanes, token=st.booleans())
def test_a_worse_class_is_never_answered_more_mildly(
    finding: RawFinding, context: PatientContext, other: Stage, lane: Lane, token: bool
) -> None:
    assert finding.stage is not None
    milder, worse = sorted((finding.stage, other), key=RANKED.index)
    decisions = [
        decide(POLICY, [worse_class(finding, stage)], context, lane=lane, has_patient_token=token)
        for stage in (milder, worse)
    ]
    assert_not_milder(POLICY, decisions[1], than=decisions[0])


@settings(max_examples=200)
@given(finding=measured(), context=contexts, lower=confidences, lane=lanes, token=st.booleans())
def test_a_lower_confidence_is_never_answered_more_mildly(
    finding: RawFinding, context: PatientContext, lower: float, lane: Lane, token: bool
) -> None:
    # The policy asks this of injuries; it holds of class none too.
    assert finding.confidence is not None
    before = decide(POLICY, [finding], context, lane=lane, has_patient_token=token)
    after = decide(
        POLICY,
        [less_confident(finding, min(lower, finding.confidence))],
        context,
        lane=lane,
        has_patient_token=token,
    )
    assert_not_milder(POLICY, after, than=before)


@settings(max_examples=200)
@given(found=lists_of_findings, context=contexts, risk=st.sampled_from(sorted(RISKS)), lane=lanes, token=st.booleans())
def test_a_risk_factor_never_makes_a_decision_milder(
    found: list[RawFinding], context: PatientContext, risk: str, lane: Lane, token: bool
) -> None:
    before = decide(POLICY, found, context, lane=lane, has_patient_token=token)
    after = decide(POLICY, found, RISKS[risk](context), lane=lane, has_patient_token=token)
    assert_not_milder(POLICY, after, than=before)
    assert {text.code for text in before.contraindications} <= {text.code for text in after.contraindications}
    # Two Braden values may agree again once one of them is lower; that warning is about the record, not the patient.
    lost = {text.code for text in before.warnings} - {text.code for text in after.warnings}
    assert lost <= {"verify_braden"}


@given(found=lists_of_findings, context=contexts, lane=lanes)
def test_a_missing_patient_token_or_an_emergency_flag_never_makes_a_decision_milder(
    found: list[RawFinding], context: PatientContext, lane: Lane
) -> None:
    before = decide(POLICY, found, context, lane=lane)
    assert_not_milder(POLICY, decide(POLICY, found, context, lane=lane, has_patient_token=False), than=before)
    assert_not_milder(POLICY, decide(POLICY, found, context, lane=Lane.EMERGENCY), than=before)


@given(found=st.lists(findings, min_size=1, max_size=3), another=findings, context=contexts)
def test_another_lesion_never_makes_a_decision_milder(
    found: list[RawFinding], another: RawFinding, context: PatientContext
) -> None:
    before = decide(POLICY, found, context)
    assert_not_milder(POLICY, decide(POLICY, [*found, another], context), than=before)


@given(found=st.lists(findings, min_size=2, max_size=4), context=contexts, seed=st.randoms())
def test_the_order_of_the_lesions_does_not_count(
    found: list[RawFinding], context: PatientContext, seed: object
) -> None:
    shuffled = list(found)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]
    one, other = decide(POLICY, found, context), decide(POLICY, shuffled, context)
    assert (one.severity, one.reasons, one.escalations) == (other.severity, other.reasons, other.escalations)


@settings(max_examples=200)
@given(
    found=lists_of_findings,
    context=contexts,
    status=st.sampled_from(ModelStatus),
    lane=st.sampled_from(Lane),
    token=st.booleans(),
)
def test_every_case_has_a_decision_whose_parts_agree(
    found: list[RawFinding], context: PatientContext, status: ModelStatus, lane: Lane, token: bool
) -> None:
    made = decide(POLICY, found, context, model_status=status, lane=lane, has_patient_token=token)
    assert made.reasons
    said = {reason.code for reason in made.reasons}
    for request in made.escalations:
        assert request.reasons
        assert set(request.reasons) <= said
        assert request.respond_within_s >= 1
    assert len({request.type for request in made.escalations}) == len(made.escalations)
    assert made.severity is not Severity.EMERGENCY or EscalationType.EMERGENCY in {r.type for r in made.escalations}
    assert made.to_json()


@given(found=st.lists(findings, min_size=1, max_size=3), context=contexts)
def test_what_is_no_class_or_no_probability_is_never_routine(found: list[RawFinding], context: PatientContext) -> None:
    made = decide(POLICY, found, context)
    kinds = {request.type for request in made.escalations}
    for finding in found:
        confidence = finding.confidence
        abstained = finding.stage is None or finding.abstained is not None
        impossible = confidence is not None and (math.isnan(confidence) or not 0 <= confidence <= 1)
        missing = confidence is None and not abstained
        if abstained or impossible or missing or finding.stage is Stage.UNKNOWN:
            assert made.severity is not Severity.ROUTINE_PREVENTION
            assert EscalationType.HUMAN_REVIEW in kinds
        if impossible or missing:
            assert EscalationType.SYSTEM_ERROR in kinds
            deadlines = {r.type: r.respond_within_s for r in made.escalations}
            assert deadlines[EscalationType.HUMAN_REVIEW] <= 15 * 60
            assert deadlines[EscalationType.SYSTEM_ERROR] <= 15 * 60


@given(problem=st.sampled_from(Problem), context=contexts, lane=lanes, token=st.booleans())
def test_every_problem_is_a_human_review_and_never_routine(
    problem: Problem, context: PatientContext, lane: Lane, token: bool
) -> None:
    made = decide_problem(POLICY, problem, context, lane=lane, has_patient_token=token)
    assert EscalationType.HUMAN_REVIEW in {request.type for request in made.escalations}
    assert made.severity is not Severity.ROUTINE_PREVENTION
    assert made.stage is None


@given(found=lists_of_findings, context=contexts)
def test_the_same_case_has_the_same_bytes(found: list[RawFinding], context: PatientContext) -> None:
    assert decide(POLICY, found, context).to_json() == decide(AGAIN, found, context).to_json()


@given(finding=measured())
def test_no_rule_raises_the_confidence(finding: RawFinding) -> None:
    made = decide(POLICY, [finding], PatientContext())
    assert made.confidence == finding.confidence


def test_each_lesion_may_have_a_context_of_its_own() -> None:
    heel, elsewhere = PatientContext(necrosis=True), PatientContext()
    finding = RawFinding(stage=Stage.STAGE_1, confidence=0.9)
    made = decide_lesions(POLICY, [(finding, elsewhere), (finding, heel)], elsewhere)
    assert "necrosis" in {reason.code for reason in made.reasons}
