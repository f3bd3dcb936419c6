"""A small campaign: workers, broker, registry and store are damaged while cases flow, and every record is verified."""

from __future__ import annotations

from collections.abc import Callable

from ops.chaos.campaign import run
from ops.chaos.outcome import CampaignPlan

SEED = 20_261_124


def test_nothing_is_lost_doubled_wrong_or_unaudited_whatever_is_damaged(
    record_property: Callable[[str, object], None],
) -> None:
    # How late is a figure of the report, not a matter for a test: it depends on what else the machine does.
    told: list[str] = []
    outcome = run(CampaignPlan(seed=SEED, faults=7, cases=300, rate=15.0, brokers=1, late_after_s=600.0), told.append)
    report = outcome.as_json()
    record_property("report", report["verdict"]["counts"])
    assert outcome.flowed, told
    assert outcome.settled, told
    assert outcome.verdict.clean, outcome.verdict.findings[:20]
    assert outcome.audit["clean"], outcome.audit["findings"][:20]
    assert outcome.cases == 300
    assert len(outcome.recoveries) >= 5, "most of the planned faults were done"
