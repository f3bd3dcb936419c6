"""docs/metrics.md is what the declarations say, and the declarations keep the rules for metrics."""

from __future__ import annotations

import re

import pytest

from ops.monitoring import metrics
from ops.monitoring.metrics_page import PAGE, page

ALL = [
    *metrics.lag_metrics(),
    *metrics.clinical_metrics(),
    *metrics.stage_metrics(),
    *metrics.canary_metrics(),
    *metrics.audit_metrics(),
]
#: Milliseconds, percent, bytes in other units: what a base unit is not.
NO_BASE_UNIT = re.compile(r"_(ms|millis|milliseconds|us|minutes|hours|percent|kb|mb|kib|mib)(_|$)")


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m ops.monitoring.metrics_page"


@pytest.mark.parametrize("metric", ALL, ids=lambda metric: metric.name)
def test_a_metric_has_a_help_a_base_unit_and_a_name_that_says_what_it_is(metric: metrics.Documented) -> None:
    assert re.fullmatch(r"[A-Z0-9].*\.", metric.help), "a help text is a sentence, or ends like one"
    assert not NO_BASE_UNIT.search(metric.name)
    assert metric.name.startswith(("vigia_", "kafka_"))
    assert (metric.kind == "counter") == metric.name.endswith("_total")


def test_no_name_is_used_twice() -> None:
    names = [metric.name for metric in ALL]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("label", ["patient", "patient_token", "case_id", "file", "uri", "name"])
def test_no_label_can_hold_anything_of_a_patient(label: str) -> None:
    assert not any(f"{label}=" in metric.example for metric in ALL)
