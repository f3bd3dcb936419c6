"""The figures of an evaluation as pure functions of labels and probabilities.

Labels are indices into `inference.findings.CLASSES`; probabilities (n, 7) are calibrated. Proportions come with
Wilson's 95 % interval (Wilson 1927), which stays within 0–1 and does not collapse at 0 %, as the textbook one does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES, SEVERITY

Ints = NDArray[np.int64]
Floats64 = NDArray[np.float64]

_Z: Final = 1.959964  # 97.5th percentile of the normal distribution
_BINS: Final = 15  # equal-width bins of confidence, the usual choice since Guo et al. 2017
_SEVERITIES: Final = np.array([SEVERITY[name] for name in CLASSES])
_FULL_THICKNESS: Final = CLASSES.index("unstageable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A proportion `hits` of `total` with its 95 % interval; NaN without any."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The proportion itself."""
        return self.hits / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        if not self.total:
            return math.nan, math.nan
        p, n = self.value, self.total
        centre = (p + _Z * _Z / (2 * n)) / (1 + _Z * _Z / n)
        half = _Z / (1 + _Z * _Z / n) * math.sqrt(p * (1 - p) / n + _Z * _Z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.1f} % ({100 * low:.1f}–{100 * high:.1f})" if self.total else "–"


def rate(hits: NDArray[np.bool_]) -> Rate:
    """Return the share of True in `hits` (n,)."""
    return Rate(hits=int(hits.sum()), total=int(hits.size))


def confusion(labels: Ints, predicted: Ints) -> Ints:
    """Return counts (7, 7): true class by row, predicted class by column."""
    table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(table, (labels, predicted), 1)
    return table


def macro_f1(table: Ints) -> float:
    """Return the mean F1 over the classes that occur, from a confusion matrix."""
    hits, true, called = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    scores = [2 * hits[k] / (true[k] + called[k]) for k in range(len(table)) if true[k] > 0]
    return float(np.mean(scores)) if scores else math.nan


def missed_injury(labels: Ints, predicted: Ints) -> Rate:
    """Return how often an injury was called none."""
    return rate(predicted[labels > 0] == 0)


def full_thickness_milder(labels: Ints, predicted: Ints) -> Rate:
    """Return how often stage 3 or 4 was called something milder.

    Unstageable is not counted as milder: by definition it is of full thickness, and it goes to a specialist.
    """
    deep = (labels == CLASSES.index("stage_3")) | (labels == CLASSES.index("stage_4"))
    milder = (_SEVERITIES[predicted] < _SEVERITIES[labels]) & (predicted != _FULL_THICKNESS)
    return rate(milder[deep])


def understaging(labels: Ints, predicted: Ints) -> float:
    """Return the mean number of severity steps by which injuries are called too mild (0 for those that are not)."""
    injured = labels > 0
    return (
        float(np.maximum(0, _SEVERITIES[labels] - _SEVERITIES[predicted])[injured].mean())
        if injured.any()
        else math.nan
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibrationBin:
    """Pictures whose confidence lies in one bin: how many, how sure the model was, how often it was right."""

    count: int
    confidence: float
    accuracy: float


def reliability(confidence: Floats64, correct: NDArray[np.bool_]) -> list[CalibrationBin]:
    """Return the non-empty bins of a reliability diagram, by rising confidence."""
    index = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    return [
        CalibrationBin(
            count=int((index == k).sum()),
            confidence=float(confidence[index == k].mean()),
            accuracy=float(correct[index == k].mean()),
        )
        for k in range(_BINS)
        if (index == k).any()
    ]


def expected_calibration_error(confidence: Floats64, correct: NDArray[np.bool_]) -> float:
    """Return the ECE: the gap between confidence and accuracy, averaged over pictures."""
    bins = reliability(confidence, correct)
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / total if total else math.nan


def selective_accuracy(confidence: Floats64, correct: NDArray[np.bool_]) -> list[tuple[float, float]]:
    """Return (coverage, accuracy) when only the most confident share is judged, in steps of 5 %."""
    ordered = correct[np.argsort(-confidence, kind="stable")]
    n = len(ordered)
    return [(k / 20, float(ordered[: max(1, n * k // 20)].mean())) for k in range(1, 21)] if n else []


def bootstrap(
    values: list[NDArray[np.generic]], statistic: object, *, draws: int = 300, seed: int = 0
) -> tuple[float, float]:
    """Return the 95 % percentile interval of `statistic(*values)` over resampled rows, the same of every array."""
    assert callable(statistic)
    rng = np.random.default_rng(seed)
    n = len(values[0])
    if n == 0:
        return math.nan, math.nan
    results = []
    for _ in range(draws):
        chosen = rng.integers(0, n, n)
        results.append(float(statistic(*(value[chosen] for value in values))))
    low, high = np.quantile(results, [0.025, 0.975])
    return float(low), float(high)
