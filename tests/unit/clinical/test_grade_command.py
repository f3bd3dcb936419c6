"""`vigia grade` and `vigia policy`, as a person or a script meets them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from ops.cli import cli
from ops.commands.grade import grade, grade_case
from ops.commands.policy import policy
from schemas.events import EscalationType, Lane, ModelStatus, ReviewPriority, Severity, StageClass
from streams.clinical.context import FIELDS
from streams.clinical.decision import Decision
from streams.clinical.policy.values import SOURCES
from streams.stages.policy.file import packaged_policy

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "grade.schema.json").read_text("utf-8"))
CASE = Draft202012Validator({**SCHEMA, "$ref": "#/$defs/case"})
DECISION = Draft202012Validator({**SCHEMA, "$ref": "#/$defs/decision"})


def run(text: str | bytes, *arguments: str) -> Result:
    return CliRunner().invoke(grade, list(arguments), input=text)


def one(text: str) -> dict[str, object]:
    result = run(text)
    assert result.exit_code == 0, result.stderr
    decision: dict[str, object] = json.loads(result.stdout)
    DECISION.validate(decision)
    return decision


def test_the_example_of_the_issue_is_an_emergency() -> None:
    decision = one(
        '{"stage": "stage_3", "confidence": 0.45, "probabilities": {"stage_3": 0.45}, "context": {"diabetes": true}}'
    )
    assert decision["severity"] == "emergency"
    assert decision["policy"] == {
        "id": "vigia-default",
        "version": packaged_policy().version,
        "hash": packaged_policy().hash,
    }


def test_json_lines_give_one_decision_a_line_in_order() -> None:
    result = run('{"stage":"none","confidence":0.9}\n\n{"stage":"stage_4","confidence":0.9}\n{"stage":null}\n')
    assert result.exit_code == 0
    assert [json.loads(line)["severity"] for line in result.stdout.splitlines()] == [
        "routine_prevention",
        "emergency",
        "important",
    ]


def test_an_object_may_span_lines_and_the_decision_too() -> None:
    result = run('\n{\n "stage": "stage_2",\n\n "confidence": 0.9\n}\n', "--pretty")
    assert json.loads(result.stdout)["severity"] == "important"
    assert len(result.stdout.splitlines()) > 20


def test_several_lesions_are_governed_by_the_worst_and_may_have_their_own_context() -> None:
    decision = one(
        '{"findings": [{"stage": "stage_1", "confidence": 0.9, "context": {"anatomical_location": "talón"}},'
        ' {"stage": "stage_3", "confidence": 0.8}], "context": {"diabetes": true}}'
    )
    assert decision["severity"] == "urgent"
    assert decision["stage"] == "stage_3"
    codes = [reason["code"] for reason in decision["reasons"]]  # type: ignore[attr-defined]
    assert codes[0] == "class_stage_3"
    assert {"class_stage_1", "location_heel", "diabetes_specialist"} <= set(codes)


@pytest.mark.parametrize(
    "case",
    [
        '{"stage": "none", "confidence": NaN}',
        '{"stage": "none", "confidence": Infinity}',
        '{"stage": "none", "confidence": 1e400}',
        '{"stage": "none", "confidence": 2}',
        '{"stage": "none", "confidence": null}',
        '{"stage": "none"}',
        '{"stage": "stage_5", "confidence": 0.9}',
        '{"stage": "", "confidence": 0.9}',
        '{"stage": "unknown", "confidence": 0.9}',
        '{"stage": null}',
        '{"stage": "none", "confidence": 0.99, "abstained": "too_dark"}',
        '{"confidence": 0.9}',
        "{}",
        '{"findings": []}',
        '{"findings": [{}]}',
        '{"findings": [{"stage": "none", "confidence": 0.9}, {"stage": null}]}',
        '{"stage": "none", "confidence": 0.9, "model_status": "failed"}',
        '{"stage": "none", "confidence": 0.9, "probabilities": {"stage_6": 0.1}}',
    ],
)
def test_what_is_missing_or_impossible_is_decided_on_and_never_routine(case: str) -> None:
    decision = one(case)
    assert decision["severity"] != "routine_prevention"
    assert "human_review" in [request["type"] for request in decision["escalations"]]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "no input", id="nothing"),
        pytest.param(" \n\n", "no input", id="blank"),
        pytest.param("[]", "input must be an object", id="a list"),
        pytest.param("3", "input must be an object", id="a number"),
        pytest.param("{", "line 1: is not valid JSON", id="cut off"),
        pytest.param(
            '{"stage": "none",\n"confidence": x}', "line 2: is not valid JSON", id="bad JSON on the second line"
        ),
        pytest.param("stage_3", "line 1: is not valid JSON", id="no JSON"),
        pytest.param(b"\xff\xfe", "line 1: is not UTF-8 text", id="no text"),
        pytest.param('{"stage":"none","stage":"stage_4"}', "line 1: a key is written twice", id="a key twice"),
        pytest.param('{"stge": "none"}', "input has a key that is not known, number 1 of 1", id="a typo"),
        pytest.param('{"stage": 3}', "stage must be text or null", id="a number as stage"),
        pytest.param(
            '{"stage": "none", "confidence": "0.9"}', "confidence must be a number or null", id="text as confidence"
        ),
        pytest.param(
            '{"stage": "none", "confidence": true}', "confidence must be a number or null", id="a flag as confidence"
        ),
        pytest.param(
            '{"stage": "none", "probabilities": [1]}', "probabilities must be an object", id="a list of probabilities"
        ),
        pytest.param(
            '{"stage":"none","probabilities":{"none":"1"}}',
            "probabilities, number 1 of 1, must be a number",
            id="text as probability",
        ),
        pytest.param('{"stage": "none", "findings": []}', "stage and findings cannot both be given", id="both forms"),
        pytest.param('{"findings": {}}', "findings must be a list", id="findings that are no list"),
        pytest.param(
            '{"findings": [{"stage":"none"}, {"x":1}]}',
            "findings[1] has a key that is not known, number 1 of 1",
            id="a typo in a finding",
        ),
        pytest.param(
            '{"findings": [{"stage":"none","context":{"age":-1}}]}', "context.age must lie", id="a finding's context"
        ),
        pytest.param('{"stage":"none","context":[]}', "context must be an object", id="an empty list as context"),
        pytest.param('{"stage":"none","context":{"age":400}}', "context.age must lie in 0 to 120", id="age 400"),
        pytest.param(
            '{"stage":"none","context":{"weight":70}}', "context has a field that is not known", id="an unknown field"
        ),
        pytest.param('{"stage":"none","lane":"fast"}', "lane is not known", id="an unknown lane"),
        pytest.param('{"stage":"none","model_status":"unknown"}', "model_status is not known", id="an unknown status"),
        pytest.param(
            '{"stage":"none","has_patient_token":"x"}', "has_patient_token must be true or false", id="a token itself"
        ),
        pytest.param("[" * 100_000, "line 1:", id="nested too deeply"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_2(text: str | bytes, message: str) -> None:
    result = run(text)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert result.stdout == ""


def test_an_error_in_json_lines_names_the_line_and_keeps_what_was_decided_before() -> None:
    result = run('{"stage":"none"}\n\n{"stage":"none","context":{"age":400}}\n{"stage":"none"}\n')
    assert result.exit_code == 2
    assert "line 3: context.age must lie in 0 to 120" in result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"stage":"none","context":{"anatomical_location":"María Pérez"}}',
        '{"stage":"none","context":{"María Pérez":1}}',
        '{"María Pérez":"none"}',
        '{"findings":[{"María Pérez":"none"}]}',
        '{"stage":"none","probabilities":{"María Pérez":"0.5"}}',
        '{"stage":"none","lane":"María Pérez"}',
        '{"stage":"none","model_status":"María Pérez"}',
    ],
)
def test_an_error_shows_nothing_of_the_input(text: str) -> None:
    result = run(text)
    assert result.exit_code == 2
    assert "María" not in result.stderr


def test_a_policy_of_ones_own_decides(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "base: {id: vigia-default, version: 1.0.0}\nid: own\nversion: 1.2.3\n"
        "rules:\n  - id: class_stage_1\n    then: {follow_up: 48 h}\n"
    )
    case = '{"stage":"stage_1","confidence":0.9}'
    decision = json.loads(run(case, "--policy", str(path)).stdout)
    assert decision["policy"]["id"] == "own"
    assert decision["follow_up_s"] == 48 * 3600
    through_environment = CliRunner().invoke(grade, input=case, env={"VIGIA_POLICY_FILE": str(path)})
    assert json.loads(through_environment.stdout) == decision
    path.write_text("id: x")
    broken = run(case, "--policy", str(path))
    assert broken.exit_code == 2
    assert len(broken.stderr.strip().splitlines()) == 1


def test_policy_check_says_good_or_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("base: {id: vigia-default, version: 1.0.0}\nid: own\nversion: 1.2.3\n")
    good = CliRunner().invoke(policy, ["check", str(path)])
    assert good.exit_code == 0
    assert "good: own 1.2.3" in good.stdout
    path.write_text(path.read_text() + "rulez: []\n")
    bad = CliRunner().invoke(cli, ["policy", "check", str(path)])
    assert bad.exit_code == 1
    assert f"{path}: rulez: is not known here" in bad.stderr
    assert len(bad.stderr.strip().splitlines()) == 1


def test_policy_show_prints_every_rule() -> None:
    shown = json.loads(CliRunner().invoke(policy, ["show", "--json"]).stdout)
    assert [rule["id"] for rule in shown["rules"]] == [rule.id for rule in packaged_policy().rules]
    for language in ("es", "en"):
        table = CliRunner().invoke(policy, ["show", "--lang", language], env={"COLUMNS": "200"}).stdout
        assert all(rule.id in table for rule in packaged_policy().rules)


def test_the_schema_is_valid_and_knows_the_same_names_as_the_code() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    parts = SCHEMA["$defs"]
    assert tuple(parts["context"]["properties"]) == FIELDS
    decision = parts["decision"]["properties"]
    assert set(decision) == set(one("{}"))
    assert len(decision) == len(fields(Decision)) - 2  # the three policy fields are one object

    def symbols(codes: type[Severity | StageClass | EscalationType | ReviewPriority | Lane | ModelStatus]) -> list[str]:
        return [code.value for code in codes if code.value != "unknown"]

    assert decision["severity"]["enum"] == symbols(Severity)
    assert decision["stage"]["enum"] == [*symbols(StageClass), None]
    assert decision["review_priority"]["enum"] == symbols(ReviewPriority)
    assert parts["escalation"]["properties"]["type"]["enum"] == symbols(EscalationType)
    assert parts["case"]["properties"]["lane"]["enum"] == [*symbols(Lane), None]
    assert parts["case"]["properties"]["model_status"]["enum"] == [*symbols(ModelStatus), None]
    assert decision["reasons"]["items"]["properties"]["source"]["enum"] == list(SOURCES)


values = (
    st.none() | st.booleans() | st.integers(-5, 30) | st.floats(0, 1) | st.sampled_from(["none", "stage_3", "x", ""])
)
contexts = st.dictionaries(st.sampled_from([*FIELDS, "weight"]), values | st.lists(values, max_size=2), max_size=4)
parts = st.fixed_dictionaries(
    {},
    optional={
        "stage": values,
        "confidence": values,
        "probabilities": st.none() | st.dictionaries(st.sampled_from(["none", "stage_3", "x"]), values, max_size=3),
        "abstained": values,
        "context": st.none() | contexts,
        "findings": st.lists(st.fixed_dictionaries({}, optional={"stage": values, "confidence": values}), max_size=2),
        "lane": values,
        "has_patient_token": values,
    },
)


@settings(max_examples=300)
@given(case=parts)
def test_the_schema_and_the_command_agree_on_what_is_a_case(case: dict[str, object]) -> None:
    """What the command accepts, the schema does; what the schema refuses, the command does. Every answer fits."""
    refused = ""
    try:
        DECISION.validate(grade_case(packaged_policy(), case).to_dict())
    except ValueError as error:
        refused = str(error)
    assert "\n" not in refused
    # Names in two languages, and blank texts, are checked by the command alone.
    names = ("anatomical_location", "infection_signs", "medications", "mobility")
    assert CASE.is_valid(case) is (not refused) or any(name in refused for name in names)


def test_grading_loads_neither_a_model_nor_faust() -> None:
    script = (
        "import sys, io\n"
        "from ops.cli import cli\n"
        'sys.stdin = io.TextIOWrapper(io.BytesIO(b\'{"stage": "none", "confidence": 0.9}\'))\n'
        "cli(['grade'], standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'faust', 'aiokafka', 'confluent_kafka', 'numpy', 'cv2', 'rich', 'fastavro'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout)["severity"] == "routine_prevention"
    assert done.stderr.strip() == "[]"
