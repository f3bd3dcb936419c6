"""Building blocks of pictures that show no wound: grounds, ramps, blobs; display values 0–255."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.synthetic.fields import Field, coordinates, fractal, outline

Pixels = NDArray[np.float32]
Family = Callable[[np.random.Generator, int], Pixels]


def any_colour(rng: np.random.Generator, low: float = 0, high: float = 255) -> NDArray[np.float32]:
    """Return a random colour (3,) between two display values."""
    return rng.uniform(low, high, 3).astype(np.float32)


def plain(size: int, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a ground (size, size, 3) of one colour."""
    return np.broadcast_to(colour, (size, size, 3)).astype(np.float32).copy()


def ramp(rng: np.random.Generator, size: int) -> Field:
    """Return a linear ramp (size, size) from 0 to 1 in some direction."""
    x, y = coordinates(size)
    angle = float(rng.uniform(0, 2 * math.pi))
    return np.asarray(0.5 + 0.5 * (x * math.cos(angle) + y * math.sin(angle)), np.float32)


def blob(rng: np.random.Generator, size: int, radius: tuple[float, float], spread: float) -> Field:
    """Return the depth field of an irregular ellipse somewhere in the picture (see `fields.outline`)."""
    return outline(
        rng, size, centre=tuple(rng.uniform(-spread, spread, 2).tolist()), radius=float(rng.uniform(*radius)),
        aspect=float(rng.uniform(1, 2.2)), angle=float(rng.uniform(0, math.pi)), roughness=float(rng.uniform(0.0, 0.2)),
    )  # fmt: skip


def surface(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `image` under uneven light."""
    size = image.shape[0]
    shade = 0.85 + 0.3 * ramp(rng, size) + 0.05 * fractal(rng, (size, size), size * 0.2)
    return np.asarray(image * shade[..., None], np.float32)


def tilt(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `image` as photographed askew."""
    size = image.shape[0]
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    moved = corners + rng.uniform(-0.12, 0.12, (4, 2)).astype(np.float32) * size
    matrix = cv2.getPerspectiveTransform(corners, moved)
    return np.asarray(cv2.warpPerspective(image, matrix, (size, size), borderMode=cv2.BORDER_REFLECT), np.float32)
