"""A few of the mutated pictures of `python -m tests.fuzz.pictures`, which runs many more."""

from __future__ import annotations

from tests.fuzz.pictures import run


def test_a_mutated_picture_is_decoded_or_refused_for_a_documented_reason() -> None:
    report = run(1_500, seed=11)
    assert report.wrong == []
    assert sum(report.became.values()) == 1_500
    assert any(outcome.startswith("decoded apart") for outcome in report.became)
