"""The rule files as values, for what must agree with them: the runbook, the tests, the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    """A recording rule or an alert."""

    name: str
    expr: str
    alert: bool
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def rules(folder: Path = HERE) -> Iterator[AlertRule]:
    """Every rule of `recording.yml` and `alerts.yml`, in order."""
    for file in ("recording.yml", "alerts.yml"):
        for group in _read(folder / file)["groups"]:
            for rule in group["rules"]:
                yield AlertRule(
                    name=rule.get("alert") or rule["record"],
                    expr=rule["expr"],
                    alert="alert" in rule,
                    labels=rule.get("labels", {}),
                    annotations=rule.get("annotations", {}),
                )


def rule_tests(folder: Path = HERE) -> Iterator[tuple[str, bool]]:
    """(alert, whether it is expected to fire) for every case of the promtool tests."""
    for file in sorted((folder / "tests").glob("*.yml")):
        for case in _read(file)["tests"]:
            for test in case.get("alert_rule_test", ()):
                yield test["alertname"], bool(test["exp_alerts"])


def _read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
