"""The figures of an evaluation, checked on cases small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.evaluation import metrics
from inference.evaluation.judging import JudgedPicture
from inference.evaluation.summary import summarise_foreign, summarise_wounds, verdicts
from inference.findings import CLASSES
from inference.synthetic.corpus import FOREIGN

NONE, ONE, TWO, THREE, FOUR, UNSTAGEABLE, DTPI = range(7)


def test_wilson_agrees_with_a_published_example() -> None:
    # Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
    low, high = metrics.Rate(hits=81, total=263).interval
    assert math.isclose(low, 0.2553, abs_tol=5e-4)
    assert math.isclose(high, 0.3662, abs_tol=5e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_stays_within_zero_and_one(pair: tuple[int, int]) -> None:
    rate = metrics.Rate(hits=pair[0], total=pair[1])
    low, high = rate.interval
    assert 0 <= low <= rate.value + 1e-12
    assert rate.value - 1e-12 <= high <= 1


def test_no_pictures_give_no_number() -> None:
    assert math.isnan(metrics.Rate(hits=0, total=0).value)
    assert str(metrics.Rate(hits=0, total=0)) == "–"


def test_confusion_and_macro_f1_by_hand() -> None:
    labels, predicted = np.array([NONE, NONE, ONE, ONE]), np.array([NONE, ONE, ONE, ONE])
    table = metrics.confusion(labels, predicted)
    assert table[NONE, ONE] == 1
    assert table.sum() == 4
    assert math.isclose(metrics.macro_f1(table), (2 / 3 + 4 / 5) / 2)


def test_a_missed_injury_is_one_called_none_and_healthy_skin_does_not_count() -> None:
    rate = metrics.missed_injury(np.array([NONE, ONE, TWO, DTPI]), np.array([NONE, NONE, TWO, NONE]))
    assert (rate.hits, rate.total) == (2, 3)


def test_full_thickness_called_milder_counts_stages_not_the_unstageable() -> None:
    labels = np.array([THREE, THREE, FOUR, FOUR, FOUR, ONE])
    predicted = np.array([TWO, FOUR, THREE, UNSTAGEABLE, FOUR, NONE])
    rate = metrics.full_thickness_milder(labels, predicted)
    assert (rate.hits, rate.total) == (2, 5)


def test_understaging_weighs_by_distance() -> None:
    assert metrics.understaging(np.array([FOUR, FOUR]), np.array([NONE, FOUR])) == 2.0
    assert metrics.understaging(np.array([ONE]), np.array([FOUR])) == 0.0


def test_a_model_that_is_right_as_often_as_it_is_sure_has_no_calibration_error() -> None:
    confidence = np.repeat([0.55, 0.85], 1000)
    correct = np.concatenate([np.arange(1000) < 550, np.arange(1000) < 850])
    assert metrics.expected_calibration_error(confidence, correct) < 1e-9
    assert math.isclose(metrics.expected_calibration_error(confidence, np.ones(2000, bool)), 0.3, abs_tol=1e-9)


def test_the_surest_half_is_at_least_as_good_when_confidence_means_something() -> None:
    confidence = np.linspace(0, 1, 100)
    points = metrics.selective_accuracy(confidence, confidence > 0.5)
    assert points[9] == (0.5, 1.0)
    assert points[-1][1] < 1.0


def test_bootstrap_of_a_constant_is_that_constant() -> None:
    assert metrics.bootstrap([np.ones(50)], np.mean) == (1.0, 1.0)


def test_calling_an_injury_milder_costs_more_than_the_reverse() -> None:
    from inference.training.losses import cost_matrix  # brings TensorFlow along

    cost = cost_matrix()
    assert (np.diag(cost) == 0).all()
    for mild, severe in ((NONE, ONE), (ONE, TWO), (TWO, THREE), (THREE, FOUR), (DTPI, FOUR)):
        assert cost[severe, mild] > cost[mild, severe] > 0
    assert cost[FOUR, NONE] == cost.max()


def _record(label: int, called: int, tone: int = 5, abstained: str | None = None) -> JudgedPicture:
    probabilities = [0.02] * 7
    probabilities[called] = 0.88
    return JudgedPicture(
        label=label, tone=tone, tags=("hair",), probabilities=tuple(probabilities), abstained=abstained
    )


def test_a_summary_separates_abstentions_from_mistakes() -> None:
    records = [_record(k, k, tone=1 + k) for k in range(7)] * 20
    records += [
        _record(ONE, NONE, abstained="unfamiliar"),
        JudgedPicture(label=TWO, tone=2, tags=(), abstained="blurred"),
    ]
    summary = summarise_wounds(records)
    assert summary["accuracy"]["hits"] == 140
    assert summary["accuracy"]["total"] == 141
    assert summary["accuracy_judged"]["value"] == 1.0
    assert summary["abstained"]["hits"] == 2
    assert summary["abstained_by_reason"] == {"blurred": 1, "unfamiliar": 1}
    assert summary["nuisances"]["hair"]["total"] == 141


def test_verdicts_name_what_was_missed() -> None:
    sets = {"ordinary": summarise_wounds([_record(k, k) for k in range(7)] * 3 + [_record(ONE, NONE)] * 3)}
    sets["foreign"] = summarise_foreign([JudgedPicture(label=FOREIGN, tone=0, tags=("wood",), abstained="not_a_wound")])
    found = {(name, key): met for name, key, _, _, met in verdicts(sets)}
    assert found["ordinary", "missed_injury"] is False
    assert found["foreign", "declined"] is True
    assert len(CLASSES) == len(sets["ordinary"]["recall"])


def test_foreign_pictures_that_got_through_are_named_by_what_they_were_taken_for() -> None:
    through = JudgedPicture(label=FOREIGN, tone=0, tags=("food",), probabilities=(0.1, 0, 0, 0.9, 0, 0, 0))
    summary = summarise_foreign(
        [through, JudgedPicture(label=FOREIGN, tone=0, tags=("food",), abstained="not_a_wound")]
    )
    assert summary["taken_for"] == {"stage_3": 1}
    assert summary["families"]["food"]["value"] == pytest.approx(0.5)
