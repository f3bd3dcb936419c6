"""Writes the JSON files with which Grafana is provisioned, and lists their panels and queries."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from ops.dashboards.clinical import clinical
from ops.dashboards.kafka import kafka
from ops.dashboards.overview import overview
from ops.dashboards.stage import stage

FOLDER = Path(__file__).parent / "json"
#: File name → what builds it.
DASHBOARDS = {"overview": overview, "stage": stage, "clinical": clinical, "kafka": kafka}


def render(name: str) -> str:
    """The JSON of one dashboard."""
    text: str = JSONEncoder(sort_keys=True, indent=2).encode(DASHBOARDS[name]().build())
    return text + "\n"


def write_all(folder: Path = FOLDER) -> None:
    """Write every dashboard."""
    folder.mkdir(exist_ok=True)
    for name in DASHBOARDS:
        (folder / f"{name}.json").write_text(render(name), encoding="utf-8")


def panels(name: str) -> Iterator[Mapping[str, Any]]:
    """Every panel of a dashboard that has a query, as in its JSON."""
    for panel in json.loads(render(name))["panels"]:
        for inner in (panel, *panel.get("panels", ())):
            if inner.get("targets"):
                yield inner


def expressions(name: str) -> Iterator[tuple[str, str]]:
    """(panel title, expression) of every query of a dashboard."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
