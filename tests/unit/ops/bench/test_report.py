"""The benchmark's own arithmetic: ratios round by round, the line through a growth, and what the report holds."""

from __future__ import annotations

import json

from ops.bench import report
from ops.bench.growth import Growth
from ops.bench.latency import summarise
from ops.bench.rounds import Throughput
from ops.bench.run import BenchFigures, BenchSizes


def measured(name: str, rate: float) -> Throughput:
    return Throughput(name=name, rate=rate, cpu_s_per_1000={"worker": 4.0, "server": 1.0}, mib={"worker": 100.0})


def test_a_ratio_is_taken_within_one_round() -> None:
    # The machine was half as fast in the second round; the ratio is not to notice.
    figures = BenchFigures(
        rounds={
            "bare loop": [measured("bare loop", 200.0), measured("bare loop", 100.0)],
            "pipeline": [measured("pipeline", 160.0), measured("pipeline", 80.0)],
        }
    )
    assert report.ratios(figures, "pipeline") == [0.8, 0.8]


def test_the_cost_of_a_case_is_that_of_all_processes() -> None:
    assert measured("pipeline", 1.0).cpu_ms == 5.0


def test_the_slope_is_the_cost_of_one_more() -> None:
    growth = Growth(what="cases", unit="s", points={1.0: 2.5, 10.0: 7.0, 100.0: 52.0})
    slope, intercept = growth.line
    assert (round(slope, 9), round(intercept, 9)) == (0.5, 2.0)


def test_the_report_is_json_and_names_what_was_left_out() -> None:
    figures = BenchFigures(
        rounds={"bare loop": [measured("bare loop", 200.0)]},
        emergencies={("pipeline", "idle"): summarise([0.1, 0.2], lost=1)},
        growth=[Growth(what="cases", unit="s", points={1.0: 1.0, 2.0: 2.0})],
        left_out=["Celery: no redis-server"],
    )
    told = json.loads(json.dumps(report.as_json(figures, BenchSizes())))
    assert told["left_out"] == ["Celery: no redis-server"]
    assert told["emergencies"][0]["lost"] == 1
    assert told["ratio_to_bare"] == {"bare loop": [1.0]}
