"""A policy that would only fail at a bedside is refused in one line, before a worker starts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from schemas.events import EscalationType, PatientContext
from schemas.events import StageClass as Stage
from streams.clinical.decide import decide
from streams.clinical.lesions import RawFinding
from streams.clinical.policy import Policy, PolicyError, read_policy
from streams.stages.policy.file import load_policy, packaged_policy, parse_policy
from tests.unit.clinical.strategies import CLASSES, assert_not_milder

TEXT = files("streams.clinical.policy").joinpath("default.yaml").read_text("utf-8")
CONTENT = yaml.safe_load(TEXT)


def changed(change: Callable[[Any], object]) -> Any:
    content = copy.deepcopy(CONTENT)
    change(content)
    return content


def rule(content: Any, name: str) -> Any:
    return next(rule for rule in content["rules"] if rule["id"] == name)


def put(*path: str, value: object) -> Callable[[Any], object]:
    """A change of one value; a part of the path that names a list entry names its id."""

    def change(content: Any) -> None:
        for key in path[:-1]:
            content = content[key] if isinstance(content, dict) else next(e for e in content if e["id"] == key)
        if value is DROP:
            del content[path[-1]]
        else:
            content[path[-1]] = value

    return change


DROP = object()

REFUSED = [
    pytest.param(
        put("rules", "diabetes", "than", value={}), "rules[diabetes].than: is not known here", id="a typo in a rule"
    ),
    pytest.param(put("rool", value=[]), "rool: is not known here", id="a typo at the top"),
    pytest.param(
        put("rules", "class_stage_1", "en", value=DROP),
        "rules[class_stage_1].en: translation is missing",
        id="English missing",
    ),
    pytest.param(
        put("texts", "soft_pads", "es", value=DROP), "texts.soft_pads.es: translation is missing", id="Spanish missing"
    ),
    pytest.param(
        put("texts", "soft_pads", "es", value="  "), "texts.soft_pads.es: must be a text", id="an empty translation"
    ),
    pytest.param(
        put("rules", "class_stage_1", "when", value={"class": ["stage_5"]}),
        "rules[class_stage_1].when.class: 'stage_5' is unknown",
        id="an unknown class",
    ),
    pytest.param(
        put("rules", "diabetes", "source", value="who-2020"),
        "rules[diabetes].source: 'who-2020' is unknown",
        id="an authority nobody may claim",
    ),
    pytest.param(
        put("rules", "class_stage_3", "source", value="minsal-ot-2023"),
        "rules[class_stage_3].source: minsal-ot-2023 sets no deadlines",
        id="a deadline that claims a guideline",
    ),
    pytest.param(
        lambda c: c["rules"].append(copy.deepcopy(c["rules"][0])),
        "rules[class_stage_4]: this id is used twice",
        id="an id used twice",
    ),
    pytest.param(
        put("rules", "diabetes", "then", value={"warn": ["no_such_text"]}),
        "rules[diabetes].then.warn: 'no_such_text' is no text of this policy",
        id="an unknown text",
    ),
    pytest.param(
        put("texts", "stray", value={"es": "a", "en": "b"}),
        "texts.stray: no rule uses this text",
        id="a text nobody uses",
    ),
    pytest.param(
        put("rules", "diabetes", "when", value={"factors": ["diabetis"]}),
        "rules[diabetes].when.factors: 'diabetis' is unknown",
        id="an unknown factor",
    ),
    pytest.param(
        put("factors", "diabetes", value=[{"field": "diabetic"}]),
        "factors.diabetes[0].field: 'diabetic' is unknown",
        id="an unknown field of the context",
    ),
    pytest.param(
        put("rules", "infection", "then", "respond_within", value="2 hours"),
        'rules[infection].then.respond_within: must be a duration such as "30 s"',
        id="a duration nobody can read",
    ),
    pytest.param(
        put("rules", "infection", "then", "respond_within", value=7200),
        "rules[infection].then.respond_within: must be a text",
        id="a duration without a unit",
    ),
    pytest.param(
        put("rules", "second_look", "when", value={}),
        "rules[second_look].when: must name a condition",
        id="no condition",
    ),
    pytest.param(
        put("rules", "second_look", "then", value={}), "rules[second_look].then: must do something", id="no effect"
    ),
    pytest.param(
        put("rules", "second_look", "when", value={"confidence_from": 0.7}),
        "rules[second_look].when.confidence_from: needs confidence_below",
        id="a rule only for what is certain",
    ),
    pytest.param(
        put("rules", "second_look", "when", "confidence_below", value=1.5),
        "rules[second_look].when.confidence_below: must be more than 0 and at most 1",
        id="a confidence above 1",
    ),
    pytest.param(
        put("rules", "second_look", "then", value={"case_within": "8 h", "respond_within": "8 h"}),
        "rules[second_look].then.respond_within: needs escalate",
        id="a deadline for nobody",
    ),
    pytest.param(
        put("rules", "braden_moderate", "then", value={"escalate": ["human_review"]}),
        "rules[braden_moderate].when.factors: a worse value leaves the factor braden_moderate",
        id="a band of Braden that escalates",
    ),
    pytest.param(
        put("rules", "braden_disagreement", "then", value={"escalate": ["human_review"]}),
        "rules[braden_disagreement].when.factors: a worse value leaves the factor",
        id="a disagreement that escalates",
    ),
    pytest.param(
        put("rules", "class_stage_3", "then", "severity", value="important"),
        "would be lost at class stage_3",
        id="relaxes: stage 3 milder than an unstageable lesion",
    ),
    pytest.param(
        put("rules", "class_stage_3", "then", "case_within", value="3 h"),
        "rules[class_unstageable]: case_within would be lost at class stage_3",
        id="relaxes: stage 3 answered later than unstageable",
    ),
    pytest.param(
        put("rules", "class_stage_4", "then", "escalate", value=["emergency", "human_review"]),
        "escalate specialist_review would be lost at class stage_4",
        id="relaxes: stage 4 without the specialist of stage 3",
    ),
    pytest.param(
        put("rules", "class_stage_2", "then", "follow_up", value="96 h"),
        "rules[class_stage_1]: follow_up would be lost at class stage_2",
        id="relaxes: stage 2 followed up after stage 1",
    ),
    pytest.param(
        put("rules", "very_low_confidence", "then", "respond_within", value="5 h"),
        "rules[low_confidence]: respond_within of human_review would be lost",
        id="relaxes: very low confidence answered after low confidence",
    ),
    pytest.param(
        put("rules", "low_confidence", "when", "confidence_from", value=0.55),
        "rules[low_confidence]: escalate human_review would be lost at class none with confidence 0.525",
        id="relaxes: a gap between two bands",
    ),
    pytest.param(
        put("rules", "diabetes_specialist", "when", "class", value=["stage_1"]),
        "rules[diabetes_specialist]: escalate specialist_review would be lost at class stage_2",
        id="relaxes: a comorbidity that counts at stage 1 only",
    ),
    pytest.param(
        put("rules", "dark_skin_review", "when", "class", value=["none"]),
        "rules[dark_skin_review]: escalate human_review would be lost at class stage_1",
        id="relaxes: dark skin reviewed at class none only",
    ),
    pytest.param(
        lambda c: c["rules"].remove(rule(c, "abstained")),
        "rules: no rule answers the problem abstained with a human_review",
        id="nobody looks when the model abstains",
    ),
    pytest.param(
        put("rules", "model_failed", "then", "severity", value="routine_prevention"),
        "rules: no rule gives the problem model_failed a severity above routine_prevention",
        id="a failed model as routine",
    ),
    pytest.param(
        lambda c: c["rules"].remove(rule(c, "class_none")),
        "rules: no rule gives class none a severity",
        id="a class without a severity",
    ),
    pytest.param(put("classes", "dtpi", value=DROP), "classes.dtpi: is missing", id="a class that is missing"),
    pytest.param(
        put("escalations", "high_risk", value=DROP), "escalations.high_risk: is missing", id="an escalation missing"
    ),
    pytest.param(
        lambda c: c.update(severities=dict(reversed(c["severities"].items()))),
        "severities: must be listed mildest first",
        id="severities upside down",
    ),
    pytest.param(
        lambda c: c.update(classes=dict(reversed(c["classes"].items()))),
        "classes: must be listed mildest first",
        id="classes upside down",
    ),
    pytest.param(
        lambda c: c["review_priorities"].reverse(),
        "review_priorities: must be emergency, urgent",
        id="priorities upside down",
    ),
    pytest.param(
        put("review_priorities", "urgent", "first_response", value="1 min"),
        "review_priorities[urgent]: is quicker than emergency",
        id="urgent before emergency",
    ),
    pytest.param(
        put("review_priorities", "high", "when", "class", value=["stage_3", "unstageable", "dtpi"]),
        "review_priorities[high].when.class: leaves out stage_4",
        id="a priority that forgets the worst class",
    ),
    pytest.param(
        put("review_priorities", "low", "when", value={"factors": ["diabetes"]}),
        "review_priorities[low].when: only the last one",
        id="no priority for the rest",
    ),
    pytest.param(
        put("escalations", "emergency", "ladder", value=["janitor"]),
        "escalations.emergency.ladder: 'janitor' is unknown",
        id="a role nobody knows",
    ),
    pytest.param(
        put("mucosal", "reason", value="class_none"),
        "mucosal.reason: the rule class_none must match on the factor mucosal_lesion alone",
        id="a mucosal reason that speaks of a class",
    ),
    pytest.param(put("version", value="1.0"), "version: must be three numbers", id="no version"),
    pytest.param(put("version", value=1.0), "version: must be a text", id="a version that is a number"),
    pytest.param(
        put("drugs", "chemotherapy", value=["?"]),
        "drugs.chemotherapy: holds a name without letters",
        id="an empty drug name",
    ),
    pytest.param(put("rules", value=[]), "rules: must be a list that is not empty", id="no rules"),
    pytest.param(put("disclaimer", value="hola"), "disclaimer: must be a mapping", id="a text where a mapping belongs"),
]


@pytest.mark.parametrize(("change", "message"), REFUSED)
def test_a_policy_that_must_not_run_is_refused_in_one_line(change: Callable[[Any], object], message: str) -> None:
    with pytest.raises(PolicyError) as raised:
        read_policy(changed(change))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "a policy is a mapping", id="empty"),
        pytest.param("- 1", "a policy is a mapping", id="a list"),
        pytest.param("a: [1", "line 2: is not valid YAML", id="no YAML"),
        pytest.param("id: x\nid: y", "line 2: 'id' is written twice", id="a key written twice"),
        pytest.param("a: !!python/name:os.system", "is not valid YAML", id="code"),
        pytest.param("[" * 5000, "is n", id="nested too deeply"),
        pytest.param("1: x", "must be text", id="a key that is a number"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_in_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    with pytest.raises(PolicyError) as raised:
        load_policy(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_not_text_or_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "nowhere.yaml")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)
    path = tmp_path / "policy.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PolicyError, match="not UTF-8"):
        load_policy(path)
    path.write_text("#" * 1_000_001)
    with pytest.raises(PolicyError, match="too large"):
        load_policy(path)


OVERLAY = """
base: {id: vigia-default, version: 1.0.0}
id: hospital-coquimbo
version: 2.1.0
rules:
  - id: class_stage_2
    then: {case_within: 12 h}
  - id: edad_extrema
    source: safety
    es: Paciente de 80 años o más
    en: Patient aged 80 or more
    when: {factors: [very_old]}
    then: {escalate: [high_risk], respond_within: 12 h}
factors:
  very_old: [{field: age, at_least: 80}]
escalations:
  emergency: {channels: ["#urgencias-hospital"]}
"""


def test_a_hospital_overlay_changes_what_it_names_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "hospital.yaml"
    path.write_text(OVERLAY)
    own, packaged = load_policy(path), packaged_policy()
    assert (own.id, own.version) == ("hospital-coquimbo", "2.1.0")
    assert own.hash != packaged.hash
    finding = RawFinding(stage=Stage.STAGE_2, confidence=0.9)
    made = decide(own, [finding], PatientContext(age=80))
    assert made.respond_within_s == 12 * 3600
    assert {request.type: request.respond_within_s for request in made.escalations} == {
        EscalationType.HIGH_RISK: 12 * 3600
    }
    assert own.escalations[EscalationType.EMERGENCY].channels == ("#urgencias-hospital",)
    assert own.escalations[EscalationType.EMERGENCY].ladder == packaged.escalations[EscalationType.EMERGENCY].ladder
    assert [r.id for r in own.rules][: len(packaged.rules)] == [r.id for r in packaged.rules]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        pytest.param(
            "version: 1.0.0}", "version: 0.9.0}", "base: is vigia-default 0.9.0", id="made for another version"
        ),
        pytest.param("id: hospital-coquimbo", "id: vigia-default", "id: must differ", id="under the packaged name"),
        pytest.param("version: 2.1.0", "", "version: is missing", id="without a version"),
        pytest.param("case_within: 12 h", "case_within: 60 h", "case_within would be lost", id="that relaxes"),
        pytest.param("case_within: 12 h", "case_withn: 12 h", "is not known here", id="with a typo"),
    ],
)
def test_an_overlay_that_must_not_run_is_refused(old: str, new: str, message: str) -> None:
    assert old in OVERLAY
    with pytest.raises(PolicyError, match=message):
        parse_policy(OVERLAY.replace(old, new), "hospital.yaml")


def test_the_packaged_file_as_a_hospital_file_is_the_packaged_policy(tmp_path: Path) -> None:
    path = tmp_path / "copy.yaml"
    path.write_text("# a comment\n" + TEXT)
    assert load_policy(path).hash == packaged_policy().hash
    assert load_policy(None) is packaged_policy()


def test_the_hash_follows_the_content_and_not_the_layout() -> None:
    packaged = packaged_policy()
    relaid = yaml.safe_dump(CONTENT, allow_unicode=True, sort_keys=False, default_flow_style=True)
    assert parse_policy(relaid, "relaid").hash == packaged.hash
    assert read_policy(changed(put("rules", "diabetes", "es", value="Diabetes mellitus"))).hash != packaged.hash


def test_every_rule_names_its_authority_and_only_those_that_may_be_claimed() -> None:
    for one in packaged_policy().rules:
        assert one.reason.source in {"npiap-2016", "minsal-ot-2023", "coquimbo-2021", "vigia", "safety"}
        assert one.reason.es != one.reason.en or one.reason.es == "Diabetes"


DURATIONS = st.sampled_from(["1 min", "15 min", "1 h", "2 h", "8 h", "24 h", "48 h", "3 d"])
CLASS_SETS = st.lists(st.sampled_from([stage.value for stage in CLASSES]), min_size=1, max_size=7, unique=True)
TYPES = st.lists(
    st.sampled_from([kind.value for kind in EscalationType if kind.value != "unknown"]),
    min_size=1,
    max_size=3,
    unique=True,
)
CHANGEABLE = [one["id"] for one in CONTENT["rules"]]


@st.composite
def mutations(draw: st.DrawFn) -> tuple[str, str, str, object]:
    name = draw(st.sampled_from(CHANGEABLE))
    part, key, values = draw(
        st.sampled_from(
            [
                ("when", "class", CLASS_SETS),
                ("when", "confidence_below", st.sampled_from([0.3, 0.5, 0.65, 0.8, 0.95])),
                ("when", "factors", st.sampled_from([["diabetes"], ["necrosis"], ["infection", "necrosis"]])),
                ("then", "severity", st.sampled_from(list(CONTENT["severities"]))),
                ("then", "escalate", TYPES),
                ("then", "case_within", DURATIONS),
                ("then", "respond_within", DURATIONS),
                ("then", "follow_up", DURATIONS),
            ]
        )
    )
    return name, part, key, draw(values)


def accepted(changes: list[tuple[str, str, str, object]]) -> Policy | None:
    content = copy.deepcopy(CONTENT)
    for name, part, key, value in changes:
        rule(content, name)[part].pop("always", None)
        rule(content, name)[part][key] = value
        rule(content, name)["source"] = "safety"
    try:
        return read_policy(content)
    except PolicyError:
        return None


@pytest.mark.no_cover
@settings(max_examples=60, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    changes=st.lists(mutations(), min_size=1, max_size=2),
    context=st.sampled_from(
        [
            PatientContext(),
            PatientContext(diabetes=True, necrosis=True, braden_score=10),
            PatientContext(skin_tone_monk=9, infection_signs=None, medications=("warfarina",)),
        ]
    ),
)
def test_whatever_policy_is_accepted_never_answers_a_worse_case_more_mildly(
    changes: list[tuple[str, str, str, object]], context: PatientContext
) -> None:
    policy = accepted(changes)
    assume(policy is not None)
    assert policy is not None
    levels = (0.95, 0.85, 0.72, 0.67, 0.62, 0.55, 0.4, 0.2)
    grid = {
        (stage, level): decide(policy, [RawFinding(stage=stage, confidence=level)], context)
        for stage in policy.classes
        for level in levels
    }
    ranked = list(policy.classes)
    for (stage, level), made in grid.items():
        if level != levels[-1]:
            assert_not_milder(policy, grid[stage, levels[levels.index(level) + 1]], than=made)
        if stage is not ranked[-1]:
            assert_not_milder(policy, grid[ranked[ranked.index(stage) + 1], level], than=made)
