"""A real Prometheus scrapes the running pipeline: every panel has something to show, and nothing alarms."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

pytest.importorskip("grafana_foundation_sdk")

from inference.synthetic.generator import picture
from ops.dashboards.generate import DASHBOARDS, expressions
from ops.monitoring.server import PrometheusServer
from ops.system.system import System
from streams.client import CaseProducer
from tests.programs import start_vigia

#: Asked first: without it, no pipeline is started.
pytestmark = pytest.mark.needs("prometheus")

#: Of things that need not happen: nothing was away, nobody answered, no picture was declined, no shadow model runs.
MAY_BE_EMPTY = (
    "vigia_retries_total",
    "vigia_acknowledgements",
    "vigia_abstentions",
    "vigia_ground_truth",
    "vigia_shadow",
)
#: Alerts of what this test does not run or of a crowded machine.
MAY_ALARM = {"VigiaEmergencySlow", "VigiaDeadLetters", "VigiaDeadlineMissed"}
WITHIN_S = 300.0


@pytest.fixture(scope="module")
def prometheus(pipeline: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[object]]]:
    """Yields a query function."""
    server = PrometheusServer(tmp_path_factory.mktemp("prometheus"), pipeline.targets_dir)
    server.start()

    def query(expr: str) -> list[object]:
        address = f"{server.url}/api/v1/query?query={urllib.parse.quote(expr)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            found: list[object] = json.load(answer)["data"]["result"]
        return found

    yield query
    server.stop()


@pytest.fixture(scope="module")
def canary(pipeline: System) -> Iterator[None]:
    target: Path = pipeline.targets_dir / "canary.json"
    process = start_vigia(
        *("canary", "--every", "2", "--port", "0", "--metrics-target", str(target)),
        env={**os.environ, **pipeline.environment},
        stdout=subprocess.DEVNULL,
    )
    yield
    process.terminate()
    assert process.wait(90) == 0
    # Stopped before it served, it has written none.
    target.unlink(missing_ok=True)


def wanted() -> dict[str, list[str]]:
    """Expression with its variables filled in → where it stands."""
    found: dict[str, list[str]] = {}
    for name in DASHBOARDS:
        for title, expr in expressions(name):
            for stage in ("inference-emergency", "escalation") if "$stage" in expr else ("",):
                if not any(metric in expr for metric in MAY_BE_EMPTY):
                    found.setdefault(expr.replace("$stage", stage), []).append(f"{name}: {title} {stage}")
    return found


@pytest.mark.usefixtures("canary")
def test_every_panel_shows_something_of_a_running_pipeline(
    pipeline: System, prometheus: Callable[[str], list[object]]
) -> None:
    empty = wanted()
    pictures = [picture(seed=11, index=index).jpeg() for index in range(7)]
    deadline = time.monotonic() + WITHIN_S
    with CaseProducer(pipeline.settings, name="panels") as producer:
        count = 0
        while empty and time.monotonic() < deadline:
            for lane in ("emergency", "routine"):
                producer.publish(
                    image=pictures[count % len(pictures)],
                    patient_code=f"CD-2025-{count % 999 + 1:03d}",
                    context={"age": 85, "diabetes": True},
                    analysis_type=lane,
                    captured_at=datetime.now(UTC),
                )
            count += 1
            empty = {expr: where for expr, where in empty.items() if not prometheus(expr)}
            time.sleep(0.5)
    assert empty == {}


@pytest.mark.usefixtures("canary")
def test_a_pipeline_that_works_raises_no_alarm(prometheus: Callable[[str], list[dict[str, dict[str, str]]]]) -> None:
    # While workers start, nobody consumes, and that is said; it must end by itself.
    deadline = time.monotonic() + WITHIN_S
    firing = [{"alertname": "not asked yet"}]
    while firing and time.monotonic() < deadline:
        alarms = [alert["metric"] for alert in prometheus('ALERTS{alertstate="firing"}')]
        firing = [alarm for alarm in alarms if alarm["alertname"] not in MAY_ALARM]
        time.sleep(1)
    assert firing == []
