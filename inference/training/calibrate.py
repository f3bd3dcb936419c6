"""Temperature and thresholds, fitted on validation pictures that training did not learn from."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.decode import Decoded
from inference.quality import QualityLimits, measure
from inference.rejection import Floats, RejectionLimits, probabilities

#: Share of the validation pictures that the blur limit may decline: the few that are as smooth as an unsharp picture.
_SMOOTH: Final = 0.003


def fit_temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """Return the temperature (0.2–5) with the smallest negative log-likelihood of `labels` (n,) under `logits` (n,
    k)."""

    def loss(log_temperature: float) -> float:
        chosen = probabilities(logits, math.exp(log_temperature))[np.arange(len(labels)), labels]
        return -float(np.log(np.maximum(chosen, 1e-12)).mean())

    # Golden-section search: the loss has one minimum in the logarithm of the temperature.
    low, high = math.log(0.2), math.log(5.0)
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return round(math.exp((low + high) / 2), 4)


def fit_limits(foreign: Floats, distance: NDArray[np.float64], rate: float) -> RejectionLimits:
    """Return limits under which about `rate` of the wounds behind `foreign` (n,) and `distance` (n,) are declined.

    Half the rate goes to each measure, and all of it is used: how often foreign pictures get through is what it buys.
    """
    return RejectionLimits(
        foreign=round(float(np.quantile(foreign, 1 - rate / 2)), 4),
        distance=round(float(np.quantile(distance, 1 - rate / 2)), 4),
    )


def fit_quality(pixels: NDArray[np.uint8]) -> QualityLimits:
    """Return the quality limits with the blur limit set from validation pictures (n, s, s, 3).

    It is never stricter than the default, which nearly every picture blurred by a twentieth of its width fails.
    """
    side = pixels.shape[1]
    sharpness = [measure(Decoded(pixels=each, width=side, height=side))["sharpness"] for each in pixels]
    limits = QualityLimits()
    return replace(limits, blur=round(min(limits.blur, float(np.quantile(sharpness, _SMOOTH))), 4))
