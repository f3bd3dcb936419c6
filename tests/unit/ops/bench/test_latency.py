"""Percentiles of a benchmark say what they claim."""

from __future__ import annotations

from ops.bench.latency import summarise


def test_the_percentiles_are_ranks_of_the_values_themselves() -> None:
    spent = [float(number) for number in range(200, 0, -1)]
    latency = summarise(spent)
    assert (latency.count, latency.p50, latency.p99, latency.worst) == (200, 101.0, 199.0, 200.0)


def test_with_few_values_the_99th_percentile_is_the_worst() -> None:
    assert summarise([1.0, 5.0, 2.0]).p99 == 5.0
