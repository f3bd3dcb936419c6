"""From the network's raw outputs to probabilities and to the decision not to decide. Pure functions of arrays.

Two measures say that a picture is unlike anything the model was trained on: a head trained against pictures that are
no wounds (`foreign`), and the relative Mahalanobis distance of the features (Ren et al. 2021, arXiv:2106.09022),
which needs no examples of what is to be rejected. A picture is declined when either passes its threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def probabilities(logits: Floats, temperature: float) -> NDArray[np.float64]:
    """Return calibrated probabilities (n, k) of `logits` (n, k): softmax at `temperature`."""
    scaled = logits.astype(np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    exponential = np.exp(scaled)
    return np.asarray(exponential / exponential.sum(axis=1, keepdims=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureStatistics:
    """Gaussians of the training features: one mean a class, a shared precision, and one of all classes together.

    `means` (k, f), `precision` (f, f), `centre` (f,), `spread` (f, f): the precision of all features.
    """

    means: Floats
    precision: Floats
    centre: Floats
    spread: Floats

    @classmethod
    def estimate(cls, features: Floats, labels: NDArray[np.int64], classes: int) -> FeatureStatistics:
        """Fit to `features` (n, f) of pictures with `labels` (n,) in 0…classes-1. A class without pictures gets the
        centre."""
        values = features.astype(np.float64)
        centre = values.mean(axis=0)
        means = np.stack([values[labels == k].mean(axis=0) if (labels == k).any() else centre for k in range(classes)])
        return cls(
            means=means.astype(np.float32),
            precision=_precision(values - means[labels]),
            centre=centre.astype(np.float32),
            spread=_precision(values - centre),
        )

    def save(self, path: Path) -> None:
        """Write the arrays to an `.npz` file."""
        np.savez(path, means=self.means, precision=self.precision, centre=self.centre, spread=self.spread)

    @classmethod
    def read(cls, path: Path) -> FeatureStatistics:
        """Read what `save` wrote; nothing is unpickled."""
        with np.load(path, allow_pickle=False) as stored:
            return cls(**{name: stored[name].astype(np.float32) for name in ("means", "precision", "centre", "spread")})

    def distance(self, features: Floats) -> NDArray[np.float64]:
        """Return the relative Mahalanobis distance (n,) of `features` (n, f): small where a class explains a picture
        best."""
        # Both distances share the quadratic term, so one form of their difference is enough. Plain einsum on
        # purpose: it leaves BLAS alone, whose threads would spin beside decoding and the network and double the cost
        # of a picture.
        off = features.astype(np.float64) - self.centre
        shifts = self.means.astype(np.float64) - self.centre
        precision = self.precision.astype(np.float64)
        directions = np.einsum("kf,fg->kg", shifts, precision)
        linear = np.einsum("kg,kg->k", directions, shifts) - 2 * np.einsum("ng,kg->nk", off, directions)
        shared = np.einsum("nf,fg,ng->n", off, precision - self.spread.astype(np.float64), off)
        return np.asarray(shared + linear.min(axis=1))


def _precision(centred: NDArray[np.float64]) -> Floats:
    covariance = centred.T @ centred / max(1, len(centred) - 1)
    # A little of the mean variance on the diagonal: dead features would make it singular. Far more where pictures
    # are few, or directions that they happen not to use would look impossible.
    share = max(1e-3, (len(covariance) / max(1, len(centred))) ** 2)
    ridge = share * max(float(np.trace(covariance)) / len(covariance), 1e-12)
    return np.asarray(np.linalg.inv(covariance + ridge * np.eye(len(covariance))), dtype=np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectionLimits:
    """Above `foreign` (log-odds) a picture is not a wound; above `distance` it is unlike the training pictures."""

    foreign: float
    distance: float
