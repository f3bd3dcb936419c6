"""docs/extending.md followed to the letter, section by section, on copies of the tree (a stage: on a real broker, in
tests/integration/test_new_stage.py).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.events import EscalationType, PatientContext, StageClass
from streams.clinical.decide import decide
from streams.clinical.lesions import RawFinding
from streams.clinical.policy import Policy
from streams.stages.notification.targets import TargetsError, load_targets
from streams.stages.policy.file import load_policy
from tests.walkthrough import PAGE, changes, followed, run

SECTIONS = ("A stage", "A rule", "A metric", "A field from case to escalation", "A channel", "A type of escalation")

#: From a case to the escalations of its grading, on values, in the copy.
WAY = """
from dataclasses import replace
from datetime import UTC, datetime
from schemas.events import PatientContext
from streams.serving.judge import Judgement
from streams.stages.escalation.events import requested_escalation
from streams.stages.grading.events import graded
from streams.stages.inference.events import inference_event
from streams.stages.policy.file import packaged_policy
from schemas.events import ModelStatus
from tests.unit.schemas.samples import CASE_EVENT

def escalations(case):
    now = datetime.now(UTC)
    policy = packaged_policy()
    inference = inference_event(case, Judgement(answer=ModelStatus.FAILED, model_version=None), None, now)
    grading = graded(policy, inference, now)
    return [requested_escalation(policy, grading, request).event for request in grading.escalations]

"""


def policy_of(tmp_path: Path) -> Policy:
    """The packaged policy as a section changes it."""
    (change,) = changes("A rule")
    path = tmp_path / change.path
    path.parent.mkdir(parents=True)
    path.write_text((PAGE.parents[1] / change.path).read_text(encoding="utf-8"), encoding="utf-8")
    change.apply(tmp_path)
    return load_policy(path)


def test_the_page_has_the_sections_that_are_followed() -> None:
    titles = [line.removeprefix("## ") for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:3] == "## "]
    assert tuple(titles) == SECTIONS
    assert all(changes(title) for title in SECTIONS)


def test_a_block_that_no_longer_fits_the_tree_is_noticed(tmp_path: Path) -> None:
    (change,) = changes("A rule")
    (tmp_path / change.path).parent.mkdir(parents=True)
    (tmp_path / change.path).write_text("rules: []\n", encoding="utf-8")
    with pytest.raises(AssertionError, match=r"has 0 × "):
        change.apply(tmp_path)


def test_a_rule_decides(tmp_path: Path) -> None:
    finding = RawFinding(stage=StageClass.NONE, confidence=0.95, probabilities={})
    policy = policy_of(tmp_path)
    for age, asked in ((79, []), (80, [(EscalationType.HIGH_RISK, 12 * 3600)])):
        decision = decide(policy, [finding], PatientContext(age=age), has_patient_token=True)
        assert [(each.type, each.respond_within_s) for each in decision.escalations] == asked
        assert ("very_old" in {reason.code for reason in decision.reasons}) == bool(asked)


def test_a_metric_is_counted_and_on_the_page(tmp_path: Path) -> None:
    root = followed("A metric", tmp_path)
    run(root, "-m", "ops.monitoring.metrics_page")
    assert "### `vigia_decisions_unescalated_total` (counter)" in (root / "docs/metrics.md").read_text(encoding="utf-8")
    assert "UNESCALATED" in run(root, "-c", "from streams import metrics; print(*vars(metrics))")


def test_a_field_reaches_the_escalation(tmp_path: Path) -> None:
    root = followed("A field from case to escalation", tmp_path)
    assert len([change for change in changes("A field from case to escalation") if "avsc" not in change.path]) == 4 + 1
    script = WAY + "print([each.ward for each in escalations(replace(CASE_EVENT, ward='4B'))])"
    found = run(root, "-c", script).strip()
    assert set(found.strip("[]").split(", ")) == {"'4B'"}
    assert "compatible with 0.1.0" in run(root, "-m", "ops", "schemas", "check")
    held = ("tests/unit/schemas/test_carried.py", "tests/unit/schemas/test_definitions.py")
    run(root, "-m", "pytest", "-q", "-p", "no:cacheprovider", *held)


def test_a_channel_leads_somewhere(tmp_path: Path) -> None:
    for change in changes("A channel"):
        change.apply(tmp_path)
    policy = load_policy(tmp_path / "etc/vigia/policy.yaml")
    channels = {channel for spec in policy.escalations.values() for channel in spec.channels}
    targets = tmp_path / "etc/vigia/targets.yaml"
    env = {"EMERGENCY_WEBHOOK": "jsons://emergency.example.org/hook"}
    asked = policy.escalations[EscalationType.EMERGENCY].channels
    assert "jsons://pabellon.example.org/hook" in load_targets(targets, channels, env).of(asked)
    targets.write_text(targets.read_text(encoding="utf-8").replace("#pabellon", "#other"), encoding="utf-8")
    with pytest.raises(TargetsError, match="channel #pabellon of the policy has no entry"):
        load_targets(targets, channels, env)


def test_a_type_of_escalation_is_asked_for_and_has_words_and_a_topic(tmp_path: Path) -> None:
    root = followed("A type of escalation", tmp_path)
    run(root, "-m", "ops.contract")
    script = (
        WAY
        + """
from streams import topics
from streams.stages.notification.message import message
context = PatientContext(malnutrition=True)
(asked,) = [each for each in escalations(replace(CASE_EVENT, context=context)) if each.type == "nutrition_review"]
print(topics.ESCALATIONS[asked.type])
names = {role: {"es": text.es, "en": text.en} for role, text in packaged_policy().roles.items()}
print(message(asked, ("es", "en"), names).body)
"""
    )
    said = run(root, "-c", script)
    assert "vigia.escalations.nutrition-review" in said
    assert "Evalúe la nutrición del paciente." in said
    assert "Nutricionista" in said
    assert "Assess the patient's nutrition." in said
    assert "address: vigia.escalations.nutrition-review" in (root / "docs/asyncapi.yaml").read_text(encoding="utf-8")
    assert "compatible with 0.1.0" in run(root, "-m", "ops", "schemas", "check")
    held = ("tests/unit/pipeline", "tests/unit/schemas/test_definitions.py")
    run(root, "-m", "pytest", "-q", "-p", "no:cacheprovider", *held)
