"""Random fields that everything in a generated picture is made of: noise, cells, fibres, outlines.

All fields are float32 arrays of a given (height, width); lengths are in pixels unless said otherwise. A field is a
function of the random generator it is given and of nothing else, which is what makes a picture reproducible.
"""

from __future__ import annotations

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Shape = tuple[int, int]


@lru_cache(maxsize=8)
def coordinates(size: int) -> tuple[Field, Field]:
    """Return x and y of every pixel of a square picture, each from -1 to 1. Read-only: they are shared."""
    axis = np.linspace(-1.0, 1.0, size, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    x.setflags(write=False)
    y.setflags(write=False)
    return x, y


def noise(rng: np.random.Generator, shape: Shape, cell: float) -> Field:
    """Smooth noise with features about `cell` pixels wide; mean 0, standard deviation about 0.7."""
    height, width = shape
    cell = max(cell, 1.0)
    rows, columns = math.ceil(height / cell) + 3, math.ceil(width / cell) + 3
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    if cell == 1.0:
        return coarse[:height, :width]
    # A random sub-cell offset, or the grid shows as a faint lattice over many pictures.
    dx, dy = rng.random(2) * cell
    matrix = np.array([[1 / cell, 0, (dx / cell) + 0.5], [0, 1 / cell, (dy / cell) + 0.5]], dtype=np.float32)
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return _as_field(cv2.warpAffine(coarse, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT))


def fractal(rng: np.random.Generator, shape: Shape, cell: float, octaves: int = 4, gain: float = 0.5) -> Field:
    """Sum of `octaves` noises, each with half the cell and `gain` times the weight of the one before; deviation
    about 0.8."""
    total = noise(rng, shape, cell)
    weight = 1.0
    for octave in range(1, octaves):
        weight *= gain
        total = total + weight * noise(rng, shape, cell / 2**octave)
    return total


def fibres(rng: np.random.Generator, shape: Shape, cell: float, stretch: float, angle: float) -> Field:
    """Noise drawn out `stretch` times along `angle` (radians): muscle, tendon, slough, wood."""
    side = math.ceil(math.hypot(*shape)) + 2
    straight = noise(rng, (side, max(3, math.ceil(side / stretch))), cell)
    c, s = math.cos(angle), math.sin(angle)
    cx, cy = shape[1] / 2, shape[0] / 2
    matrix = np.array(
        [
            [c / stretch, s / stretch, side / (2 * stretch) - (c * cx + s * cy) / stretch],
            [-s, c, side / 2 + s * cx - c * cy],
        ],
        dtype=np.float32,
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return _as_field(cv2.warpAffine(straight, matrix, (shape[1], shape[0]), flags=flags, borderMode=cv2.BORDER_REFLECT))


def cells(rng: np.random.Generator, shape: Shape, cell: float) -> tuple[Field, Field]:
    """Split the field into rounded cells (fat lobules, granulation): distance to the nearest centre, in cells, and a
    tint each.

    The tint is uniform in -1…1 and constant within a cell.
    """
    height, width = shape
    count = max(3, int(height * width / cell**2))
    seeds = np.full(shape, 255, dtype=np.uint8)
    seeds[rng.integers(0, height, count), rng.integers(0, width, count)] = 0
    distance, labels = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_CCOMP)
    tints = rng.uniform(-1, 1, int(labels.max()) + 1).astype(np.float32)
    return _as_field(distance / np.float32(cell)), tints[labels]


def outline(
    rng: np.random.Generator,
    size: int,
    *,
    centre: tuple[float, float],
    radius: float,
    aspect: float,
    angle: float,
    roughness: float,
) -> Field:
    """Depth of each pixel inside an irregular ellipse, in radii: 0 on the outline, 1 at the centre, negative outside.

    `centre` and `radius` are in the coordinates of `coordinates` (-1…1).
    """
    x, y = coordinates(size)
    c, s = math.cos(angle), math.sin(angle)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    reach = size * radius / 2
    wobble = np.float32(roughness)
    u = (dx * c + dy * s) / np.float32(radius * math.sqrt(aspect)) + wobble * noise(rng, (size, size), reach * 0.9)
    v = (dy * c - dx * s) / np.float32(radius / math.sqrt(aspect)) + wobble * noise(rng, (size, size), reach * 0.9)
    fine = np.float32(roughness * 0.18) * fractal(rng, (size, size), reach * 0.32, 2)
    return _as_field(np.float32(1) - np.sqrt(u * u + v * v) + fine)


def step(low: float, high: float, value: Field) -> Field:
    """Smoothstep: 0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1)
    return _as_field(t * t * (3 - 2 * t))


def cover(field: Field, inside: Field, share: float, softness: float = 0.25) -> Field:
    """Mask (0…1) of where `field` is high, with a threshold such that `share` of the pixels with `inside` > 0.5 are
    covered."""
    if share <= 0:
        return np.zeros_like(field)
    sample = field[::2, ::2][inside[::2, ::2] > 0.5]
    if sample.size < 8 or share >= 1:
        return np.ones_like(field)
    threshold = float(np.quantile(sample, 1 - share))
    return step(threshold - softness, threshold + softness, field)


def soften(field: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian blur; wide ones are done at a quarter of the size, where nobody can tell."""
    if sigma < 0.3:
        return field
    if sigma < 6:
        return _as_field(cv2.GaussianBlur(field, (0, 0), sigma))
    height, width = field.shape[:2]
    small = cv2.resize(field, (max(2, width // 4), max(2, height // 4)), interpolation=cv2.INTER_AREA)
    return _as_field(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), (width, height)))


def _as_field(value: object) -> Field:
    return np.asarray(value, dtype=np.float32)
