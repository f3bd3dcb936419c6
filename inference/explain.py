"""Where in the picture the evidence for a class lies (HiResCAM), and how it is drawn over the picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Evidence for the finding's class on a coarse grid over the picture after EXIF orientation.

    `values`: float32 (rows, columns), the network's logit contribution of each cell; positive speaks for the class.
    """

    values: NDArray[np.float32]


def overlay(image: bytes, heat: HeatMap, *, size: int = 384) -> bytes:
    """Return a JPEG (longer side `size` px, no EXIF) of `image` with `heat` drawn over it. Raises `ImageProblem`."""
    raise NotImplementedError
