"""The committed dashboards are those of the code, and every panel asks for something that exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

pytest.importorskip("grafana_foundation_sdk")

from ops.dashboards.generate import DASHBOARDS, FOLDER, expressions, panels, render
from ops.monitoring.metrics import known_names
from tests.unit.ops.monitoring.promql import metric_names

EXPRESSIONS = [(name, title, expr) for name in DASHBOARDS for title, expr in expressions(name)]
KNOWN = known_names()
PANELS = [(name, panel) for name in DASHBOARDS for panel in panels(name)]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_committed_json_is_the_generated_one(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == render(name), "run: python -m ops.dashboards"


def test_no_dashboard_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(DASHBOARDS)


@pytest.mark.parametrize(("name", "title", "expr"), EXPRESSIONS, ids=[f"{n}-{t}" for n, t, _ in EXPRESSIONS])
def test_an_expression_is_promql_and_asks_for_metrics_that_exist(name: str, title: str, expr: str) -> None:
    found = metric_names(expr)
    assert found
    assert found <= KNOWN


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=[f"{n}-{p['title']}" for n, p in PANELS])
def test_a_panel_says_what_it_shows_and_in_which_unit(name: str, panel: Mapping[str, Any]) -> None:
    assert panel["description"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_titles_are_unique_on_a_page(name: str) -> None:
    titles = [panel["title"] for panel in panels(name)]
    assert len(titles) == len(set(titles))
