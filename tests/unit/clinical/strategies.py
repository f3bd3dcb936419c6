"""Any case whatever, and every way to make one worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from schemas.events import AnatomicalLocation, BradenSubscores, InfectionSign, PatientContext
from schemas.events import StageClass as Stage
from streams.clinical.decision import Decision
from streams.clinical.lesions import RawFinding
from streams.clinical.policy import Policy

CLASSES = tuple(stage for stage in Stage if stage is not Stage.UNKNOWN)
INJURIES = tuple(stage for stage in CLASSES if stage is not Stage.NONE)
SIGNS = tuple(sign for sign in InfectionSign if sign is not InfectionSign.UNKNOWN)
DRUGS = ("warfarina 5 mg", "aspirin", "prednisona", "cisplatino", "paracetamol", "Enoxaparina", "losartán")

#: On and around every threshold of the policy, and anywhere between.
confidences = st.sampled_from((0.0, 0.499, 0.5, 0.599, 0.6, 0.699, 0.7, 0.799, 0.8, 1.0)) | st.floats(0, 1)
anything = st.none() | st.floats() | confidences


def maybe(strategy: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | strategy


flags = maybe(st.booleans())
contexts = st.builds(
    PatientContext,
    age=maybe(st.integers(0, 120)),
    diabetes=flags,
    anticoagulants=flags,
    medications=maybe(st.lists(st.sampled_from(DRUGS), max_size=3).map(tuple)),
    immunosuppression=flags,
    malnutrition=flags,
    albumin_g_dl=maybe(st.sampled_from((0.0, 3.49, 3.5, 5.0))),
    compromised_circulation=flags,
    infection_signs=maybe(st.lists(st.sampled_from(SIGNS), max_size=2).map(tuple)),
    necrosis=flags,
    braden_score=maybe(st.integers(6, 23)),
    braden_subscores=maybe(
        st.builds(
            BradenSubscores,
            sensory=st.integers(1, 4),
            moisture=st.integers(1, 4),
            activity=st.integers(1, 4),
            mobility=st.integers(1, 4),
            nutrition=st.integers(1, 4),
            friction=st.integers(1, 3),
        )
    ),
    risk_score=maybe(st.integers(6, 23)),
    anatomical_location=maybe(st.sampled_from(AnatomicalLocation)),
    mucosal=flags,
    skin_tone_monk=maybe(st.integers(1, 10)),
    fitzpatrick=maybe(st.integers(1, 6)),
    public_healthcare=flags,
)


@st.composite
def measured(draw: st.DrawFn, stages: tuple[Stage, ...] = CLASSES) -> RawFinding:
    """A finding as a sound model gives it: with or without probabilities, of which its class has the confidence."""
    stage = draw(st.sampled_from(stages))
    confidence = draw(confidences)
    if not draw(st.booleans()):
        return RawFinding(stage=stage, confidence=confidence)
    others = [other for other in CLASSES if other is not stage]
    weights = draw(st.lists(st.floats(0, 1), min_size=len(others), max_size=len(others)))
    share = (1 - confidence) / (sum(weights) or 1.0)
    probabilities = {other.value: weight * share for other, weight in zip(others, weights, strict=True)}
    return RawFinding(stage=stage, confidence=confidence, probabilities={**probabilities, stage.value: confidence})


#: Findings that no sound model gives, among others.
findings = measured() | st.builds(
    RawFinding,
    stage=st.none() | st.sampled_from(Stage),
    confidence=anything,
    probabilities=st.dictionaries(
        st.sampled_from([stage.value for stage in Stage] + ["stage_5", ""]), st.floats() | confidences, max_size=4
    ),
    abstained=st.none() | st.just("too_dark"),
)


def worse_class(finding: RawFinding, stage: Stage) -> RawFinding:
    """The same finding of another class: the probabilities of the two are exchanged."""
    swapped = dict(finding.probabilities)
    if swapped:
        assert finding.stage is not None
        old, new = swapped.get(finding.stage.value, 0.0), swapped.get(stage.value, 0.0)
        swapped |= {finding.stage.value: new, stage.value: old}
    return replace(finding, stage=stage, probabilities=swapped)


def less_confident(finding: RawFinding, confidence: float) -> RawFinding:
    """The same finding with a lower confidence; the probabilities of the other classes stay."""
    probabilities = dict(finding.probabilities)
    if probabilities:
        assert finding.stage is not None
        probabilities[finding.stage.value] = confidence
    return replace(finding, confidence=confidence, probabilities=probabilities)


def _lower(value: float | None, worst: float) -> float:
    return worst if value is None else min(value, worst)


RISKS: dict[str, Callable[[PatientContext], PatientContext]] = {
    "diabetes": lambda c: replace(c, diabetes=True),
    "anticoagulants": lambda c: replace(c, anticoagulants=True),
    "anticoagulant drug": lambda c: replace(c, medications=(*(c.medications or ()), "apixaban")),
    "antiplatelet drug": lambda c: replace(c, medications=(*(c.medications or ()), "clopidogrel")),
    "corticosteroid": lambda c: replace(c, medications=(*(c.medications or ()), "dexametasona")),
    "immunosuppression": lambda c: replace(c, immunosuppression=True),
    "malnutrition": lambda c: replace(c, malnutrition=True),
    "low albumin": lambda c: replace(c, albumin_g_dl=_lower(c.albumin_g_dl, 2.0)),
    "compromised circulation": lambda c: replace(c, compromised_circulation=True),
    "infection": lambda c: replace(c, infection_signs=(*(c.infection_signs or ()), InfectionSign.FEVER)),
    "necrosis": lambda c: replace(c, necrosis=True),
    "low Braden": lambda c: replace(c, braden_score=int(_lower(c.braden_score, 9))),
    "low risk score": lambda c: replace(c, risk_score=int(_lower(c.risk_score, 14))),
    "dark skin (Monk)": lambda c: replace(c, skin_tone_monk=max(c.skin_tone_monk or 0, 8)),
    "dark skin (Fitzpatrick)": lambda c: replace(c, fitzpatrick=max(c.fitzpatrick or 0, 5)),
    "mucosal": lambda c: replace(c, mucosal=True),
}


def assert_not_milder(policy: Policy, worse: Decision, than: Decision) -> None:
    """Severity, reviews and deadlines of `worse` are at least those of `than`."""
    rank = policy.severity_rank
    assert rank[worse.severity] >= rank[than.severity]
    priorities = [spec.id for spec in policy.priorities]
    assert priorities.index(worse.review_priority) <= priorities.index(than.review_priority)
    asked = {request.type: request for request in worse.escalations}
    for request in than.escalations:
        assert request.type in asked
        assert asked[request.type].respond_within_s <= request.respond_within_s
        assert asked[request.type].reescalate_every_s <= request.reescalate_every_s
        assert asked[request.type].resolve_within_s <= request.resolve_within_s
    for deadline in ("respond_within_s", "follow_up_s"):
        before, after = getattr(than, deadline), getattr(worse, deadline)
        assert before is None or (after is not None and after <= before)
