"""Every row of every table of the clinical policy, by name."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.events import EscalationType, ReviewPriority, Severity, StageClass
from streams.stages.policy.file import packaged_policy
from tests.unit.clinical.cases import HOUR, MINUTE, asked, codes, decision, reasons, reasons_of

INJURIES = ("stage_1", "stage_2", "stage_3", "stage_4", "unstageable", "dtpi")
STAGE_2_OR_WORSE = INJURIES[1:]
SEVERE = INJURIES[2:]


@pytest.mark.parametrize(
    ("stage", "severity", "spanish", "minsal", "escalations", "respond_within"),
    [
        pytest.param(
            "none", "routine_prevention", "RUTINA_PREVENTIVA", "Sin evidencia de LPP", set(), None, id="class: none"
        ),
        pytest.param(
            "stage_1",
            "attention",
            "ATENCIÓN",
            "Categoría I – Eritema no blanqueable",
            set(),
            48 * HOUR,
            id="class: stage_1",
        ),
        pytest.param(
            "stage_2",
            "important",
            "IMPORTANTE",
            "Categoría II – Pérdida parcial de espesor",
            set(),
            24 * HOUR,
            id="class: stage_2",
        ),
        pytest.param(
            "stage_3",
            "urgent",
            "URGENTE",
            "Categoría III – Pérdida total de espesor",
            {"human_review", "specialist_review"},
            30 * MINUTE,  # the first response of priority URGENT, before the rule's 2 h
            id="class: stage_3",
        ),
        pytest.param(
            "stage_4",
            "emergency",
            "EMERGENCIA",
            "Categoría IV – Pérdida total de piel y tejidos",
            {"emergency", "human_review", "specialist_review"},
            5 * MINUTE,  # the first response of priority EMERGENCY, before the rule's 15 min
            id="class: stage_4",
        ),
        pytest.param(
            "unstageable",
            "specialized_evaluation",
            "EVALUACIÓN_ESPECIALIZADA",
            "No clasificable",
            {"human_review", "specialist_review"},
            2 * HOUR,
            id="class: unstageable",
        ),
        pytest.param(
            "dtpi",
            "strict_monitoring",
            "MONITOREO_ESTRICTO",
            "LPP en tejidos profundos",
            {"human_review", "specialist_review"},
            2 * HOUR,
            id="class: dtpi",
        ),
    ],
)
def test_each_class_has_its_severity_label_and_escalations(
    stage: str, severity: str, spanish: str, minsal: str, escalations: set[str], respond_within: int | None
) -> None:
    given = decision(stage, 0.7)
    assert given.severity is Severity(severity)
    assert given.severity_label.es == spanish
    assert packaged_policy().classes[StageClass(stage)].label.es == minsal
    assert set(asked(given)) == escalations
    assert given.respond_within_s == respond_within
    assert reasons(given)[0] == f"class_{stage}"
    assert given.stage is StageClass(stage)


@pytest.mark.parametrize(
    ("rule", "within"),
    [
        pytest.param("class_stage_3", 2 * HOUR, id="class: stage_3, 2 h"),
        pytest.param("class_stage_4", 15 * MINUTE, id="class: stage_4, 15 min"),
        pytest.param("class_unstageable", 2 * HOUR, id="class: unstageable, 2 h"),
        pytest.param("class_dtpi", 2 * HOUR, id="class: dtpi, 2 h"),
    ],
)
def test_each_class_has_its_own_deadline_in_the_policy(rule: str, within: int) -> None:
    assert next(r for r in packaged_policy().rules if r.id == rule).then.case_within_s == within


def test_class_none_with_a_braden_score_of_12_is_a_high_risk_alert_within_24_h() -> None:
    assert asked(decision("none", 0.9, {"braden_score": 12})) == {"high_risk": 24 * HOUR}
    assert asked(decision("none", 0.9, {"braden_score": 13})) == {}


@pytest.mark.parametrize("field", ["diabetes", "anticoagulants", "immunosuppression"])
def test_stage_2_with_a_comorbidity_is_a_specialist_review_within_24_h(field: str) -> None:
    assert asked(decision("stage_2", 0.9, {field: True})) == {"specialist_review": 24 * HOUR}


@pytest.mark.parametrize("stage", ["unstageable", "dtpi"])
def test_unstageable_and_dtpi_are_reviewed_for_a_reason_of_their_own(stage: str) -> None:
    given = decision(stage, 0.9)
    assert reasons_of(given, "human_review") == (f"class_{stage}",)
    assert reasons_of(given, "specialist_review") == (f"class_{stage}",)


def test_dtpi_is_checked_again_after_24_to_48_h() -> None:
    given = decision("dtpi", 0.9)
    assert given.follow_up_s == 24 * HOUR
    assert "24–48 h" in next(reason.es for reason in given.reasons if reason.code == "class_dtpi")
    assert "strict_monitoring_of_area" in codes(given.recommendations)


@pytest.mark.parametrize(
    ("confidence", "reason", "within"),
    [
        pytest.param(0.0, "very_low_confidence", 30 * MINUTE, id="c = 0"),
        pytest.param(0.499, "very_low_confidence", 30 * MINUTE, id="c = 0.499 (1 h, priority 30 min)"),
        pytest.param(0.5, "low_confidence", 4 * HOUR, id="c = 0.5"),
        pytest.param(0.599, "low_confidence", 4 * HOUR, id="c = 0.599"),
        pytest.param(0.6, "second_look", 8 * HOUR, id="c = 0.6"),
        pytest.param(0.699, "second_look", 8 * HOUR, id="c = 0.699"),
        pytest.param(0.7, None, None, id="c = 0.7"),
        pytest.param(1.0, None, None, id="c = 1"),
    ],
)
@pytest.mark.parametrize("stage", ["none", "stage_1", "stage_2"])
def test_each_band_of_confidence_adds_its_review(
    stage: str, confidence: float, reason: str | None, within: int | None
) -> None:
    given = decision(stage, confidence)
    assert asked(given) == ({} if within is None else {"human_review": within})
    assert [code for code in reasons(given) if code in ("very_low_confidence", "low_confidence", "second_look")] == (
        [] if reason is None else [reason]
    )
    assert given.confidence == confidence


def test_the_very_low_band_itself_asks_for_an_answer_within_1_h() -> None:
    rule = next(r for r in packaged_policy().rules if r.id == "very_low_confidence")
    assert rule.then.respond_within_s == 1 * HOUR


@pytest.mark.parametrize("stage", SEVERE)
def test_a_severe_class_below_0_5_becomes_an_emergency_within_15_min(stage: str) -> None:
    given = decision(stage, 0.499)
    assert given.severity is Severity.EMERGENCY
    assert "human_review" in asked(given)
    assert "emergency" in asked(given)
    assert max(asked(given).values()) <= 15 * MINUTE
    rule = next(r for r in packaged_policy().rules if r.id == "very_low_confidence_severe")
    assert rule.then.case_within_s == 15 * MINUTE
    at_the_bound = decision(stage, 0.5)
    assert "very_low_confidence_severe" not in reasons(at_the_bound)


@pytest.mark.parametrize(
    ("probabilities", "ambiguous", "severity"),
    [
        pytest.param({"stage_2": 0.55, "stage_3": 0.40}, True, "urgent", id="0.15 apart: the worse class governs"),
        pytest.param({"stage_2": 0.55, "stage_3": 0.35}, True, "urgent", id="0.2 apart"),
        pytest.param({"stage_2": 0.55, "stage_3": 0.34}, False, "important", id="0.21 apart"),
        pytest.param({"stage_2": 0.55, "stage_1": 0.40}, True, "important", id="the worse class is the model's own"),
        pytest.param({"stage_2": 0.55, "none": 0.45}, False, "important", id="the second is no injury"),
        pytest.param({"stage_2": 0.55, "stage_4": 0.45}, True, "emergency", id="the second is stage 4"),
    ],
)
def test_two_best_injuries_within_0_2_are_ambiguous(
    probabilities: dict[str, float], ambiguous: bool, severity: str
) -> None:
    given = decision("stage_2", 0.55, probabilities=probabilities)
    assert ("ambiguous_stage" in reasons(given)) is ambiguous
    assert given.severity is Severity(severity)
    if ambiguous:
        assert asked(given)["specialist_review"] <= 24 * HOUR
        assert "ambiguous_stage" in reasons_of(given, "specialist_review")
    assert given.stage is StageClass.STAGE_2


def test_an_ambiguous_stage_alone_is_answered_within_24_h() -> None:
    given = decision("stage_2", 0.6, probabilities={"stage_2": 0.6, "stage_1": 0.4})
    assert asked(given) == {"specialist_review": 24 * HOUR, "human_review": 8 * HOUR}


@pytest.mark.parametrize(
    "confidence",
    [
        pytest.param(None, id="missing"),
        pytest.param(float("nan"), id="NaN"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(-0.01, id="below 0"),
        pytest.param(1.01, id="above 1"),
    ],
)
@pytest.mark.parametrize("stage", ["none", *INJURIES])
def test_a_confidence_that_is_no_probability_is_never_routine(stage: str, confidence: float | None) -> None:
    given = decision(stage, confidence)
    assert given.severity is not Severity.ROUTINE_PREVENTION
    assert {"human_review", "system_error"} <= set(asked(given))
    assert max(asked(given)[kind] for kind in ("human_review", "system_error")) <= 15 * MINUTE
    assert given.confidence is None


@pytest.mark.parametrize("confidence", [0.2, 0.9, None, float("nan")])
def test_an_unknown_class_is_never_routine(confidence: float | None) -> None:
    given = decision("unknown", confidence)
    assert given.severity is Severity.URGENT
    assert asked(given) == {"human_review": 15 * MINUTE, "system_error": 15 * MINUTE}
    assert given.stage is None


@pytest.mark.parametrize("status", ["failed", "unavailable", "unknown"])
def test_a_model_that_failed_or_is_missing_gives_no_class(status: str) -> None:
    given = decision("none", 0.99, model_status=status)
    assert given.severity is not Severity.ROUTINE_PREVENTION
    assert given.stage is None
    assert asked(given) == {"human_review": 15 * MINUTE, "system_error": 15 * MINUTE}


@pytest.mark.parametrize("status", ["judged", "abstained"])
def test_a_model_that_abstained_is_a_human_review_and_never_grade_0(status: str) -> None:
    given = decision(None, None, model_status=status)
    assert given.severity is Severity.IMPORTANT
    assert given.stage is None
    assert set(asked(given)) == {"human_review"}
    assert reasons(given)[0] == "abstained"


@pytest.mark.parametrize(
    ("context", "warnings", "recommendations", "contraindications"),
    [
        pytest.param({"diabetes": True}, ["delayed_healing"], ["glycaemic_control"], [], id="diabetes"),
        pytest.param(
            {"anticoagulants": True}, ["bleeding_risk"], [], ["aggressive_debridement"], id="anticoagulants: flag"
        ),
        pytest.param(
            {"medications": ["Clopidogrel 75 mg"]},
            ["bleeding_risk"],
            [],
            ["aggressive_debridement"],
            id="anticoagulants: antiplatelet drug",
        ),
        pytest.param({"immunosuppression": True}, ["infection_risk"], [], [], id="immunosuppression: flag"),
        pytest.param(
            {"medications": ["prednisona"]}, ["infection_risk"], [], [], id="immunosuppression: corticosteroid"
        ),
        pytest.param(
            {"medications": ["quimioterapia"]}, ["infection_risk"], [], [], id="immunosuppression: chemotherapy"
        ),
        pytest.param({"malnutrition": True}, [], ["nutrition_protein_plan"], [], id="malnutrition: flag"),
        pytest.param({"albumin_g_dl": 3.49}, [], ["nutrition_protein_plan"], [], id="malnutrition: albumin 3.49"),
        pytest.param({"albumin_g_dl": 3.5}, [], [], [], id="malnutrition: albumin 3.5 is not below"),
        pytest.param(
            {"compromised_circulation": True},
            [],
            ["vascular_evaluation"],
            ["compressive_bandage"],
            id="compromised circulation",
        ),
        pytest.param({"anatomical_location": "heel"}, [], ["heel_offloading"], [], id="location: heel"),
        pytest.param(
            {"anatomical_location": "sacrum"},
            [],
            ["redistribution_surface", "head_of_bed_30"],
            [],
            id="location: sacrum",
        ),
        pytest.param({"anatomical_location": "elbow"}, [], ["soft_pads"], [], id="location: elbow"),
        pytest.param({"anatomical_location": "shoulder"}, [], ["soft_pads"], [], id="location: shoulder"),
        pytest.param({"anatomical_location": "unknown"}, [], [], [], id="location: unknown is not guessed"),
        pytest.param({"skin_tone_monk": 7}, ["dark_skin_assessment"], [], [], id="dark skin: Monk 7"),
        pytest.param({"skin_tone_monk": 6}, [], [], [], id="dark skin: Monk 6 is not dark"),
        pytest.param({"fitzpatrick": 5}, ["dark_skin_assessment"], [], [], id="dark skin: Fitzpatrick V"),
        pytest.param({"fitzpatrick": 4}, [], [], [], id="dark skin: Fitzpatrick IV is not dark"),
    ],
)
@pytest.mark.parametrize("stage", ["none", "stage_1"])
def test_each_row_of_the_context_adds_its_texts(
    stage: str,
    context: dict[str, object],
    warnings: list[str],
    recommendations: list[str],
    contraindications: list[str],
) -> None:
    plain, given = decision(stage, 0.9), decision(stage, 0.9, context)
    assert codes(given.warnings) == warnings
    assert codes(given.contraindications) == contraindications
    assert set(codes(given.recommendations)) == {*codes(plain.recommendations), *recommendations}
    assert asked(given) == {}


@pytest.mark.parametrize(
    "context",
    [
        pytest.param({"diabetes": True}, id="diabetes"),
        pytest.param({"anticoagulants": True}, id="anticoagulants"),
        pytest.param({"medications": ["warfarina"]}, id="anticoagulant drug"),
        pytest.param({"medications": ["aspirina"]}, id="antiplatelet drug"),
        pytest.param({"immunosuppression": True}, id="immunosuppression"),
        pytest.param({"medications": ["dexametasona"]}, id="corticosteroid"),
        pytest.param({"medications": ["cisplatino"]}, id="chemotherapy"),
    ],
)
@pytest.mark.parametrize("stage", ["none", *INJURIES])
def test_a_comorbidity_at_stage_2_or_worse_is_a_specialist_review(stage: str, context: dict[str, object]) -> None:
    given = decision(stage, 0.9, context)
    if stage in STAGE_2_OR_WORSE:
        assert any(code.endswith("_specialist") for code in reasons_of(given, "specialist_review"))
    else:
        assert asked(given) == {}


@pytest.mark.parametrize(
    "drug",
    [
        "warfarin",
        "acenocoumarol",
        "heparin",
        "enoxaparin",
        "dalteparin",
        "apixaban",
        "rivaroxaban",
        "edoxaban",
        "dabigatran",
        "Warfarina 5 mg",
        "ACENOCUMAROL",
        "Heparina sódica 5.000 UI",
        "heparina de bajo peso molecular",
        "Clexane 40 mg SC",
        "rivaroxabán",
        "Dabigatrán etexilato",
    ],
)
def test_each_anticoagulant_of_the_policy_counts_in_both_languages(drug: str) -> None:
    assert "anticoagulants" in reasons(decision("stage_1", 0.9, {"medications": ["paracetamol", drug]}))


@pytest.mark.parametrize(
    "drug", ["aspirin", "clopidogrel", "Ácido Acetilsalicílico 100 mg", "acido acetilsalicilico", "A.A.S."]
)
def test_aspirin_and_clopidogrel_count_as_antiplatelets(drug: str) -> None:
    assert "antiplatelets" in reasons(decision("stage_1", 0.9, {"medications": [drug]}))


@pytest.mark.parametrize("drug", ["paracetamol", "omeprazol", "warfarinoide", "losartán", "a s a"])
def test_other_drugs_add_nothing(drug: str) -> None:
    assert reasons(decision("stage_1", 0.9, {"medications": [drug]})) == reasons(decision("stage_1", 0.9))


@pytest.mark.parametrize("sign", ["cellulitis", "fever", "purulent_exudate", "odour"])
@pytest.mark.parametrize("stage", ["none", "stage_1", "stage_2"])
def test_each_sign_of_infection_is_a_review_of_class_high_within_2_h_and_a_check_after_12_h(
    stage: str, sign: str
) -> None:
    given = decision(stage, 0.9, {"infection_signs": [sign]})
    assert asked(given) == {"human_review": 2 * HOUR}
    assert given.review_priority is ReviewPriority.HIGH
    assert given.follow_up_s == 12 * HOUR
    assert given.severity is not Severity.ROUTINE_PREVENTION
    assert "lpp_emergency" in [protocol.id for protocol in given.protocols]


def test_no_sign_of_infection_is_no_infection() -> None:
    assert asked(decision("stage_1", 0.9, {"infection_signs": []})) == {}


@pytest.mark.parametrize("stage", ["none", *INJURIES])
def test_necrosis_is_a_specialist_review(stage: str) -> None:
    given = decision(stage, 0.9, {"necrosis": True})
    assert "necrosis" in reasons_of(given, "specialist_review")
    assert asked(given)["specialist_review"] <= 2 * HOUR


def test_two_contraindications_are_a_specialist_review() -> None:
    one = decision("stage_1", 0.9, {"anticoagulants": True, "medications": ["aspirina"]})
    assert codes(one.contraindications) == ["aggressive_debridement"]
    assert asked(one) == {}
    two = decision("stage_1", 0.9, {"anticoagulants": True, "compromised_circulation": True})
    assert asked(two) == {"specialist_review": 24 * HOUR}
    assert reasons_of(two, "specialist_review") == ("multiple_contraindications",)


@pytest.mark.parametrize(
    ("stage", "notifications"),
    [
        ("none", []),
        ("stage_1", []),
        ("stage_2", ["track_event"]),
        ("stage_3", ["notify_risk_management"]),
        ("stage_4", ["notify_risk_management"]),
        ("unstageable", ["track_event"]),
        ("dtpi", ["track_event"]),
    ],
)
def test_stage_3_and_4_are_notified_at_detection_and_stage_2_is_tracked(stage: str, notifications: list[str]) -> None:
    given = decision(stage, 0.9)
    assert codes(given.notifications) == notifications
    if stage in ("stage_3", "stage_4"):
        assert next(r.source for r in given.reasons if r.code == "risk_management") == "coquimbo-2021"


@pytest.mark.parametrize(
    "context", [{"skin_tone_monk": tone} for tone in (7, 8, 9, 10)] + [{"fitzpatrick": 5}, {"fitzpatrick": 6}]
)
def test_class_none_on_dark_skin_below_0_8_is_a_human_review(context: dict[str, object]) -> None:
    assert asked(decision("none", 0.799, context)) == {"human_review": 8 * HOUR}
    assert asked(decision("none", 0.8, context)) == {}


@pytest.mark.parametrize("stage", STAGE_2_OR_WORSE)
def test_the_note_on_dark_skin_is_for_class_none_and_stage_1(stage: str) -> None:
    assert "dark_skin" not in reasons(decision(stage, 0.9, {"skin_tone_monk": 9}))


@pytest.mark.parametrize("stage", ["none", "stage_1", "stage_2"])
def test_no_valid_patient_token_is_a_human_review_of_class_medium(stage: str) -> None:
    given = decision(stage, 0.9, has_patient_token=False)
    assert asked(given) == {"human_review": 8 * HOUR}
    assert given.review_priority is ReviewPriority.MEDIUM


@pytest.mark.parametrize(
    ("braden", "level"),
    [
        pytest.param(6, "high", id="6, the worst"),
        pytest.param(12, "high", id="12"),
        pytest.param(13, "moderate", id="13"),
        pytest.param(15, "moderate", id="15"),
        pytest.param(16, "low", id="16"),
        pytest.param(23, "low", id="23, the best"),
    ],
)
@pytest.mark.parametrize("field", ["braden_score", "risk_score"])
def test_braden_risk_is_high_moderate_or_low(field: str, braden: int, level: str) -> None:
    given = decision("none", 0.9, {field: braden})
    assert [code for code in reasons(given) if code.startswith("braden")] == [f"braden_{level}"]
    assert set(asked(given)) == ({"high_risk"} if level == "high" else set())
    assert next(r.source for r in given.reasons if r.code == f"braden_{level}") == "minsal-ot-2023"


def test_a_braden_score_is_the_sum_of_its_subscores() -> None:
    worst = dict.fromkeys(("sensory", "moisture", "activity", "mobility", "nutrition", "friction"), 2)
    assert "braden_high" in reasons(decision("none", 0.9, {"braden_subscores": worst}))
    assert "braden_moderate" in reasons(decision("none", 0.9, {"braden_subscores": {**worst, "friction": 3}}))


def test_braden_values_that_disagree_count_as_the_worse_one_and_say_so() -> None:
    given = decision("none", 0.9, {"braden_score": 20, "risk_score": 11})
    assert set(asked(given)) == {"high_risk"}
    assert "braden_disagreement" in reasons(given)
    assert "verify_braden" in codes(given.warnings)
    assert "braden_disagreement" not in reasons(decision("none", 0.9, {"braden_score": 11, "risk_score": 11}))


@pytest.mark.parametrize(
    ("stage", "recommendations"),
    [
        ("none", ["continue_prevention", "braden_every_24_h"]),
        ("stage_1", ["relieve_pressure", "film_or_foam", "review_risk_factors"]),
        ("stage_2", ["moist_healing", "pain_assessment", "weekly_photograph"]),
        ("stage_3", ["wound_specialist", "debride_if_indicated", "nutrition_assessment"]),
        ("stage_4", ["urgent_surgical_evaluation", "multidisciplinary_care", "pain_management"]),
        ("unstageable", ["specialist_decides", "no_debridement_of_dry_eschar"]),
        ("dtpi", ["protect_area", "strict_monitoring_of_area", "no_massage_of_area"]),
    ],
)
def test_each_class_has_its_recommendations_and_those_that_always_hold(stage: str, recommendations: list[str]) -> None:
    assert codes(decision(stage, 0.9).recommendations) == [
        *recommendations,
        "no_ring_cushions",
        "no_massage_prominences",
    ]


@pytest.mark.parametrize(
    ("stage", "hours"),
    [
        ("none", None),
        ("stage_1", 72),
        ("stage_2", 48),
        ("stage_3", 24),
        ("stage_4", 24),
        ("unstageable", 24),
        ("dtpi", 24),
    ],
)
def test_each_class_has_its_follow_up(stage: str, hours: int | None) -> None:
    assert decision(stage, 0.9).follow_up_s == (None if hours is None else hours * HOUR)


TEAM = "#equipo-medico"


@pytest.mark.parametrize(
    ("kind", "roles", "channels"),
    [
        (
            "emergency",
            ("emergency", "specialists", "medical_team"),
            ("#emergencias", "#especialistas", TEAM),
        ),
        ("specialist_review", ("specialists", "medical_team"), ("#especialistas", TEAM)),
        ("human_review", ("medical_team",), (TEAM,)),
        ("high_risk", ("medical_team", "nursing_team"), ("#riesgo-alto", TEAM)),
        ("system_error", ("admin",), ("#sistema-alertas",)),
    ],
)
def test_each_escalation_type_has_its_roles_and_channels(
    kind: str, roles: tuple[str, ...], channels: tuple[str, ...]
) -> None:
    # A severe lesion whose confidence is NaN, in a patient at high risk, asks for every type at once.
    given = decision("stage_4", float("nan"), {"braden_score": 9})
    request = next(request for request in given.escalations if request.type is EscalationType(kind))
    assert request.roles == roles
    assert request.channels == channels
    assert set(request.reasons) <= set(reasons(given))
    assert request.reasons


@pytest.mark.parametrize(
    ("given", "priority", "first_response", "reescalate_every"),
    [
        pytest.param(decision("stage_4"), "emergency", 5 * MINUTE, 2 * MINUTE, id="EMERGENCY: emergency escalation"),
        pytest.param(
            decision("none", lane="emergency"),
            "emergency",
            5 * MINUTE,
            2 * MINUTE,
            id="EMERGENCY: flagged by the producer",
        ),
        pytest.param(decision("stage_3"), "urgent", 30 * MINUTE, 10 * MINUTE, id="URGENT: severity urgent"),
        pytest.param(decision("none", 0.49), "urgent", 30 * MINUTE, 10 * MINUTE, id="URGENT: c < 0.5"),
        pytest.param(
            decision("stage_1", context={"infection_signs": ["fever"]}),
            "high",
            2 * HOUR,
            30 * MINUTE,
            id="HIGH: infection",
        ),
        pytest.param(decision("unstageable"), "high", 2 * HOUR, 30 * MINUTE, id="HIGH: unstageable"),
        pytest.param(decision("dtpi"), "high", 2 * HOUR, 30 * MINUTE, id="HIGH: dtpi"),
        pytest.param(
            decision("stage_1", has_patient_token=False),
            "medium",
            8 * HOUR,
            2 * HOUR,
            id="MEDIUM: no valid patient token",
        ),
        pytest.param(decision("none", context={"braden_score": 12}), "low", 24 * HOUR, 4 * HOUR, id="LOW: otherwise"),
    ],
)
def test_each_review_priority_has_its_times(given, priority: str, first_response: int, reescalate_every: int) -> None:
    assert given.review_priority is ReviewPriority(priority)
    spec = next(spec for spec in packaged_policy().priorities if spec.id is ReviewPriority(priority))
    assert spec.first_response_s == first_response
    assert spec.resolve_within_s == {"emergency": 1, "urgent": 4, "high": 12, "medium": 24, "low": 72}[priority] * HOUR
    assert given.escalations
    for request in given.escalations:
        assert request.review_priority is ReviewPriority(priority)
        assert request.reescalate_every_s == reescalate_every
        assert request.resolve_within_s == spec.resolve_within_s
        assert request.respond_within_s <= first_response


def test_the_first_priority_that_matches_counts() -> None:
    given = decision("stage_3", 0.4, {"infection_signs": ["fever"]}, has_patient_token=False)
    assert given.review_priority is ReviewPriority.EMERGENCY


def test_the_answer_is_due_at_the_earlier_of_first_response_and_rule() -> None:
    # HIGH gives 2 h; the low confidence 4 h.
    assert asked(decision("dtpi", 0.55))["human_review"] == 2 * HOUR
    # MEDIUM gives 8 h; the low confidence 4 h.
    assert asked(decision("stage_1", 0.55, has_patient_token=False)) == {"human_review": 4 * HOUR}


def test_a_case_flagged_as_an_emergency_is_always_looked_at_within_5_min() -> None:
    for stage, confidence in product(("none", *INJURIES), (0.99, 0.65)):
        given = decision(stage, confidence, lane="emergency")
        assert "human_review" in asked(given)
        assert max(asked(given).values()) <= 5 * MINUTE


@pytest.mark.parametrize("stage", ["none", *INJURIES])
def test_a_mucosal_lesion_is_not_staged_but_notified_and_reviewed(stage: str) -> None:
    plain, given = decision(stage, 0.9), decision(stage, 0.9, {"mucosal": True})
    assert given.stage is None
    assert given.mucosal is True
    assert "notify_mucosal_lesion" in codes(given.notifications)
    assert asked(given)["human_review"] <= 24 * HOUR
    assert set(asked(plain)) <= set(asked(given))
    assert f"class_{stage}" not in reasons(given)
    for text in (*given.reasons, *given.recommendations):
        assert "ategoría I" not in text.es
        assert "ategory I" not in text.en
    for request in given.escalations:
        assert request.reasons
        assert set(request.reasons) <= set(reasons(given))


@pytest.mark.parametrize(
    ("protocol", "given"),
    [
        ("lpp_prevention", decision("none")),
        ("lpp_prevention", decision("none", context={"braden_score": 12})),
        ("lpp_stage_2_treatment", decision("stage_2")),
        ("lpp_emergency", decision("stage_1", context={"infection_signs": ["cellulitis"]})),
    ],
)
def test_each_protocol_is_cited_by_id_and_version(protocol: str, given) -> None:
    assert packaged_policy().protocols[protocol].reference in given.protocols


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        (
            "lpp_prevention",
            ["Braden", "ELPO is for surgical positioning only", "repositioning", "surfaces", "Skin care"],
        ),
        ("lpp_stage_2_treatment", ["Measure", "saline", "dressing", "pain", "24 h", "72 h: specialist review"]),
        ("lpp_emergency", ["cellulitis, fever, intense pain or purulent exudate", "Urgent", "Culture", "physician"]),
    ],
)
def test_each_protocol_holds_what_the_policy_says(protocol: str, words: list[str]) -> None:
    text = "\n".join(step.en for step in packaged_policy().protocols[protocol].steps)
    for word in words:
        assert word in text


def test_the_ladder_climbs_from_nurse_specialist_to_clinical_supervisor() -> None:
    ladders = {spec.ladder for kind, spec in packaged_policy().escalations.items() if kind.value != "system_error"}
    assert ladders == {("nurse_specialist", "wound_care_specialist", "attending_physician", "clinical_supervisor")}


def test_the_decision_says_that_it_is_decision_support_and_by_which_policy() -> None:
    given = decision("none")
    assert "Apoyo a la decisión clínica" in given.disclaimer.es
    assert "decision support" in given.disclaimer.en
    assert (given.policy_version, given.policy_hash) == (packaged_policy().version, packaged_policy().hash)
