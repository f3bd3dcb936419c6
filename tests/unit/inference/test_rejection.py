"""Calibration and rejection as arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from inference.findings import CLASSES, Finding
from inference.rejection import FeatureStatistics, probabilities
from inference.training.calibrate import fit_limits, fit_temperature

logits = arrays(np.float32, (5, 7), elements=st.floats(-60, 60, width=32))


@given(logits, st.floats(0.2, 5))
def test_probabilities_sum_to_one_and_keep_the_order(values: np.ndarray, temperature: float) -> None:
    result = probabilities(values, temperature)
    assert np.allclose(result.sum(axis=1), 1)
    assert (result.argmax(axis=1) == values.argmax(axis=1)).all() or len(np.unique(values)) < values.size


@given(logits)
def test_a_higher_temperature_is_never_more_confident(values: np.ndarray) -> None:
    assert (probabilities(values, 2.0).max(axis=1) <= probabilities(values, 1.0).max(axis=1) + 1e-12).all()


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_fitted_temperature_finds_the_one_that_made_the_labels(true: float) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0, 3, (20_000, 7)).astype(np.float32)
    cumulative = probabilities(values, true).cumsum(axis=1)
    labels = (rng.random((20_000, 1)) > cumulative).sum(axis=1).clip(0, 6)
    assert math.isclose(fit_temperature(values, labels), true, rel_tol=0.05)


def test_features_unlike_any_class_are_farther_than_those_of_the_classes() -> None:
    rng = np.random.default_rng(4)
    labels = np.repeat(np.arange(7), 200)
    centres = rng.normal(0, 4, (7, 12))
    features = (centres[labels] + rng.normal(0, 1, (1400, 12))).astype(np.float32)
    statistics = FeatureStatistics.estimate(features, labels, 7)
    known = statistics.distance(features)
    between = ((centres[:-1] + centres[1:]) / 2).astype(np.float32)
    assert statistics.distance(between).min() > np.quantile(known, 0.99)


def test_few_pictures_do_not_make_new_ones_of_the_same_kind_look_impossible() -> None:
    rng = np.random.default_rng(8)
    few, new = (rng.normal(0, 1, (120, 96)).astype(np.float32) for _ in range(2))
    statistics = FeatureStatistics.estimate(few, np.arange(120) % 7, 7)
    limit = np.quantile(statistics.distance(few[:40]), 0.985)
    assert (statistics.distance(new) > 3 * abs(limit)).mean() < 0.1


def test_a_class_without_pictures_does_not_break_the_statistics() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(0, 1, (40, 3)).astype(np.float32)
    statistics = FeatureStatistics.estimate(features, np.zeros(40, np.int64), 7)
    assert np.isfinite(statistics.distance(features)).all()


def test_statistics_survive_the_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(6)
    features = rng.normal(0, 1, (50, 4)).astype(np.float32)
    made = FeatureStatistics.estimate(features, rng.integers(0, 7, 50), 7)
    made.save(tmp_path / "s.npz")
    assert np.array_equal(FeatureStatistics.read(tmp_path / "s.npz").distance(features), made.distance(features))


def test_limits_decline_about_the_stated_share_and_never_more() -> None:
    rng = np.random.default_rng(7)
    foreign, distance = rng.normal(3, 1, 10_000).astype(np.float32), rng.normal(0, 1, 10_000)
    limits = fit_limits(foreign, distance, 0.03)
    declined = ((foreign > limits.foreign) | (distance > limits.distance)).mean()
    assert 0.02 < declined <= 0.031


def test_a_finding_is_a_class_or_an_abstention_never_both() -> None:
    assert len(CLASSES) == 7
    for stage, confidence, abstained in (
        ("stage_1", 0.9, "blurred"), (None, None, None), ("stage_1", None, None), (None, 0.4, "blurred"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="never both"):
            Finding(stage=stage, confidence=confidence, abstained=abstained, model_version="x")
