"""Alerts, their runbook and their tests agree; every expression asks for metrics that exist."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from inference.findings import ProblemCode
from ops.monitoring.metrics import known_names
from ops.monitoring.rules import HERE, rule_tests, rules
from streams.images.errors import ImageError, StoreUnavailableError
from streams.runtime.breaker import REASONS
from tests.unit.ops.monitoring.promql import metric_names

ROOT = Path(__file__).parents[4]
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
RULES = list(rules())
TESTS = set(rule_tests())
KNOWN = known_names()
ALERTS = [rule for rule in RULES if rule.alert]


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_has_a_runbook_entry_that_says_what_to_type(alert) -> None:
    assert alert.annotations["runbook"] == f"docs/runbook.md#{alert.name.lower()}"
    found = re.search(rf"^### {alert.name}\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert found, "no entry in docs/runbook.md"
    assert f"*{alert.labels['severity']}.*" in found[1]
    assert "`" in found[1], "the entry does not say what to type"


def test_the_runbook_speaks_of_no_alert_that_does_not_exist() -> None:
    assert set(re.findall(r"^### (\w+)", RUNBOOK, re.MULTILINE)) == {alert.name for alert in ALERTS}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_an_alert_is_tested_firing_and_not_firing(alert) -> None:
    assert {fires for name, fires in TESTS if name == alert.name} == {True, False}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_asks_for_metrics_that_exist(rule) -> None:
    assert metric_names(rule.expr) <= KNOWN


@pytest.mark.needs("promtool")
@pytest.mark.parametrize("file", sorted((HERE / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_promtool_agrees(file: Path) -> None:
    done = subprocess.run(["promtool", "test", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("promtool")
def test_the_configuration_is_valid() -> None:
    done = subprocess.run(
        ["promtool", "check", "config", str(HERE / "prometheus.yml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.needs("amtool")
def test_the_routing_is_valid_and_pages_reach_the_night() -> None:
    config = str(HERE / "alertmanager.yml")
    assert subprocess.run(["amtool", "check-config", config], capture_output=True, check=False).returncode == 0
    for severity, receiver in (("page", "night"), ("ticket", "day")):
        command = ["amtool", "config", "routes", "test", f"--config.file={config}", f"severity={severity}"]
        assert subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() == receiver


def reasons() -> set[str]:
    """Every reason that a dead letter can have: those in the code, and the codes of pictures and of trials."""
    found: set[str] = {code.value for code in ProblemCode}
    found |= {error.code for error in (StoreUnavailableError, *subclasses(ImageError))}
    found |= {verdict.value for verdict in REASONS}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "streams").rglob("*.py")]
    said = {name for text in texts for name in re.findall(r"InputProblem\(\s*reason=([^,]+),", text)}
    for name in said:
        if re.fullmatch(r'"\w+"', name):
            found.add(name.strip('"'))
        elif name.isupper():
            found |= {value for text in texts for value in re.findall(rf'^{name} = "(\w+)"$', text, re.MULTILINE)}
    return found


def subclasses(kind: type[ImageError]) -> set[type[ImageError]]:
    return {kind}.union(*(subclasses(each) for each in kind.__subclasses__()))


def test_the_runbook_says_of_every_reason_of_a_dead_letter_what_to_do() -> None:
    entry = RUNBOOK.partition("### VigiaDeadLetters\n")[2].partition("\n### ")[0]
    rows = re.findall(r"^ *\| (`[^|]+) \|[^|]+\|([^|]+)\|$", entry, re.MULTILINE)
    told = {reason for names, _ in rows for reason in re.findall(r"`(\w+)`", names)}
    assert {"refused", "record_too_large", "kills_worker", "other_content", "undecodable"} <= reasons()
    assert told == reasons()
    assert all(what.strip() for _, what in rows)
