"""docs/clinical.md says what the code does: its tables are made again and compared."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

from ops.commands.grade import grade_case
from ops.commands.policy import markdown_rules, policy
from streams.clinical.decision import Decision
from streams.stages.policy.file import packaged_policy, parse_policy

DOC = (Path(__file__).parents[3] / "docs" / "clinical.md").read_text("utf-8")
BOUNDARIES = (0.499, 0.5, 0.599, 0.6, 0.699, 0.7)


def summary(made: Decision) -> str:
    """One row of the examples, after the case."""
    asked = ", ".join(f"{r.type.value} {duration(r.respond_within_s)}" for r in made.escalations)
    return f"{made.severity.value} | {asked or 'none'} | {made.review_priority.value}"


def duration(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds % 3600 == 0 else f"{seconds // 60} min"


def test_the_rules_in_the_documentation_are_those_of_the_packaged_policy() -> None:
    table = markdown_rules(packaged_policy())
    assert table in DOC
    assert CliRunner().invoke(policy, ["show", "--markdown"]).stdout == table + "\n"


def test_the_examples_in_the_documentation_are_what_grade_answers() -> None:
    rows = re.findall(r"^\| `(\{.*\})` \| (.*) \|$", DOC, re.MULTILINE)
    assert len(rows) >= 20
    for case, answer in rows:
        assert summary(grade_case(packaged_policy(), json.loads(case))) == answer
    assert {json.loads(case).get("confidence") for case, _ in rows} >= set(BOUNDARIES)


def test_the_overlay_in_the_documentation_is_accepted() -> None:
    (overlay,) = re.findall(r"```yaml\n(base: .*?)```", DOC, re.DOTALL)
    assert parse_policy(overlay, "docs").id == "hospital-regional"


def test_the_order_of_severities_and_classes_in_the_documentation_is_that_of_the_policy() -> None:
    for order in (packaged_policy().severities, packaged_policy().classes):
        assert " < ".join(f"`{code.value}`" for code in order) in DOC
