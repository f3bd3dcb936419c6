"""Is the picture good enough to be judged? Plain measurements, and the limits below which a person must look.

The limits catch what no model should guess at; they are part of a model version (`model.json`), chosen on validation
pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.decode import Decoded, to_square
from inference.findings import AbstainReason

#: Side of the square on which quality is measured: the same for every picture, so that the numbers compare.
_SIDE: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityLimits:
    """Below or above these a picture is not judged. Luma is 0–255 (Rec. 601).

    `dark`: the brightest percent of pixels is darker. `bright`: the darkest percent is brighter. `contrast`: the
    span between the two is smaller. `blur`: the picture has less detail (see `measure`). `aspect`: the longer side
    is this many times the shorter.
    """

    dark: float = 42.0
    bright: float = 225.0
    contrast: float = 6.0
    blur: float = 0.6
    aspect: float = 3.0

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> QualityLimits:
        """Read the limits from `model.json`; an unknown name is an error."""
        return cls(**{name: float(value) for name, value in values.items()})

    def as_mapping(self) -> dict[str, float]:
        """Return the limits for `model.json`."""
        return asdict(self)


def measure(picture: Decoded) -> dict[str, float]:
    """Return `width`, `height` (as sent), `luma` (mean), `luma_low`, `luma_high` (1st and 99th percentile) and
    `sharpness`.

    Sharpness is the standard deviation of the Laplacian after a light blur that takes the sensor's noise away,
    relative to the brightness: a dark skin's picture has smaller differences than a light one's and is as sharp.
    """
    grey = cv2.cvtColor(to_square(picture.pixels, _SIDE), cv2.COLOR_RGB2GRAY)
    counts = np.cumsum(np.bincount(grey.ravel(), minlength=256))
    low, high = (int(np.searchsorted(counts, share * counts[-1])) for share in (0.01, 0.99))
    luma = float(grey.mean())
    detail: NDArray[np.float32] = np.asarray(
        cv2.Laplacian(cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 0.8), cv2.CV_32F), np.float32
    )
    return {
        "width": float(picture.width),
        "height": float(picture.height),
        "luma": round(luma, 2),
        "luma_low": float(low),
        "luma_high": float(high),
        "sharpness": round(float(detail.std()) / (luma + 10) * 100, 4),
    }


def objection(quality: Mapping[str, float], limits: QualityLimits) -> AbstainReason | None:
    """Return why a picture with these measurements must not be judged, or None."""
    longer, shorter = max(quality["width"], quality["height"]), min(quality["width"], quality["height"])
    if longer > limits.aspect * shorter:
        return AbstainReason.ODD_SHAPE
    if quality["luma_high"] < limits.dark:
        return AbstainReason.TOO_DARK
    if quality["luma_low"] > limits.bright:
        return AbstainReason.TOO_BRIGHT
    if quality["luma_high"] - quality["luma_low"] < limits.contrast or quality["sharpness"] < limits.blur:
        return AbstainReason.BLURRED
    return None
