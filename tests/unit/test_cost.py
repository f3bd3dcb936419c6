"""No commit makes an event dearer by a tenth without saying so: `python -m tests.cost --write` keeps new figures."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import pytest

from tests.cost import KEPT, Cost, measure

WORSE = 1.1


@pytest.fixture(scope="module")
def measured() -> dict[str, Cost]:
    return measure()


def test_an_event_costs_no_more_calls_records_and_bytes_than_was_kept(measured: dict[str, Cost]) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    kept = json.loads(KEPT.read_text())
    if version not in kept:
        pytest.skip(f"docs/cost.json has no figures of Python {version}, which counts calls in another way")
    for stage, cost in measured.items():
        for name, value in asdict(cost).items():
            before = kept[version][stage][name]
            assert value <= WORSE * before, f"{stage}: {value:.1f} {name} per event, {before:.1f} were kept"


def test_two_measurements_agree(measured: dict[str, Cost]) -> None:
    """What varies from run to run could not be compared between commits."""
    for stage, cost in measure().items():
        assert asdict(cost) == pytest.approx(asdict(measured[stage]), rel=0.05), stage
