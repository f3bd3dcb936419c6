"""What a wound bed is made of. Each painter fills a rectangle with one tissue as a textbook describes it.

A painter returns albedo (h, w, 3), relief (h, w) in half picture widths, and gloss 0–1. `unit` is the picture's size
in pixels, so that a lobule keeps its size whatever the resolution.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from inference.synthetic.colour import Rgb
from inference.synthetic.fields import Field, Shape, cells, fibres, fractal, noise, step

Painted = tuple[Rgb, Field, float]
Painter = Callable[[np.random.Generator, Shape, int], Painted]


def _tint(rng: np.random.Generator, *colours: tuple[float, float, float], spread: float = 0.12) -> Rgb:
    """One of several colours mixed with a neighbour, then varied in brightness."""
    first, second = (np.array(colours[i], dtype=np.float32) for i in rng.integers(0, len(colours), 2))
    mix = np.float32(rng.random())
    return np.asarray((first * mix + second * (1 - mix)) * np.float32(1 + spread * rng.standard_normal()), np.float32)


def dermis(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Partial thickness: a smooth, moist, pink to red bed with fine stippling of capillaries."""
    colour = _tint(rng, (0.52, 0.19, 0.17), (0.46, 0.12, 0.11), (0.40, 0.075, 0.075), (0.56, 0.27, 0.23))
    tone = fractal(rng, shape, unit * 0.10, 3)
    points = step(0.7, 1.6, noise(rng, shape, unit * 0.012))
    shade = np.exp(0.16 * tone)[..., None] * np.array([0.6, 1.0, 1.0], np.float32) + np.array([0.4, 0, 0], np.float32)
    albedo = colour * shade * (1 - points[..., None] * np.array([0.10, 0.35, 0.30], np.float32))
    return _painted(albedo, 0.0015 * fractal(rng, shape, unit * 0.05, 3), rng.uniform(0.3, 0.6))


def granulation(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Beefy red cobblestones, bleeding easily; paler and duller where the wound stagnates."""
    colour = _tint(rng, (0.34, 0.045, 0.042), (0.26, 0.030, 0.034), (0.42, 0.11, 0.095))
    distance, tints = cells(rng, shape, unit * rng.uniform(0.022, 0.038))
    tone = fractal(rng, shape, unit * 0.12, 3)
    bump = np.maximum(0, 1 - distance * distance * 1.4)
    blood = step(0.8, 1.8, fractal(rng, shape, unit * 0.08, 2))
    shade = (0.72 + 0.34 * bump + 0.07 * tints) * np.exp(0.16 * tone)
    albedo = colour * shade[..., None] * (1 - blood[..., None] * np.array([0.35, 0.7, 0.7], np.float32))
    return _painted(albedo, 0.006 * bump, rng.uniform(0.4, 0.7))


def slough(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Dead tissue, stringy and moist: cream, yellow, tan, grey or green."""
    colour = _tint(rng, (0.50, 0.38, 0.17), (0.56, 0.48, 0.29), (0.36, 0.31, 0.21), (0.44, 0.30, 0.12))
    turn, stretch = rng.uniform(0, math.pi), rng.uniform(3, 6)
    # Two bundles that cross where a slow noise says so: strands are never all parallel.
    swap = step(-0.4, 0.4, noise(rng, shape, unit * 0.09))
    strings = swap * fibres(rng, shape, unit * 0.012, stretch, turn)
    strings = strings + (1 - swap) * fibres(rng, shape, unit * 0.012, stretch, turn + rng.uniform(0.4, 1.2))
    patches = fractal(rng, shape, unit * 0.09, 3)
    shade = np.exp(0.11 * strings + 0.15 * patches)
    # Thin places let the red below through.
    thin = step(0.4, 1.6, fractal(rng, shape, unit * 0.07, 2))[..., None]
    albedo = colour * shade[..., None] * (1 - thin * np.array([0.12, 0.42, 0.45], np.float32))
    return _painted(albedo, 0.003 * strings + 0.006 * patches, rng.uniform(0.2, 0.5))


def fat(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Subcutaneous fat: glistening yellow lobules with reddish septa between them."""
    colour = _tint(rng, (0.62, 0.43, 0.19), (0.64, 0.50, 0.29), (0.58, 0.35, 0.17))
    distance, tints = cells(rng, shape, unit * rng.uniform(0.035, 0.06))
    septa = step(0.45, 0.85, distance + 0.10 * noise(rng, shape, unit * 0.02))[..., None]
    shade = (1 + 0.10 * tints + 0.06 * noise(rng, shape, unit * 0.05))[..., None]
    albedo = colour * shade * (1 - septa * np.array([0.25, 0.62, 0.60], np.float32))
    return _painted(albedo, 0.009 * np.maximum(0, 1 - distance * distance), rng.uniform(0.4, 0.7))


def eschar(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Dry, leathery, black or brown, with cracks and a dull shine."""
    colour = _tint(rng, (0.020, 0.016, 0.015), (0.045, 0.028, 0.020), (0.11, 0.060, 0.032), (0.030, 0.022, 0.024))
    tone = fractal(rng, shape, unit * 0.10, 4, 0.6)
    cracks = 1 - step(0.02, 0.16, np.abs(fractal(rng, shape, unit * 0.16, 3)))
    shade = np.exp(0.32 * tone) * (1 - 0.35 * cracks)
    warm = step(0.5, 1.6, noise(rng, shape, unit * 0.12))[..., None] * np.array([0.05, 0.022, 0.012], np.float32)
    return _painted(colour * shade[..., None] + warm, 0.004 * tone - 0.005 * cracks, rng.uniform(0.05, 0.22))


def muscle(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Dark red bundles of parallel fibres."""
    colour = _tint(rng, (0.27, 0.035, 0.035), (0.34, 0.055, 0.05), (0.22, 0.03, 0.035))
    angle = rng.uniform(0, math.pi)
    bundles = fibres(rng, shape, unit * 0.030, 7, angle)
    threads = fibres(rng, shape, unit * 0.009, 12, angle)
    shade = np.exp(0.36 * bundles + 0.22 * threads)
    sheath = step(0.8, 1.4, bundles)[..., None] * np.array([0.20, 0.12, 0.10], np.float32)
    return _painted(colour * shade[..., None] + sheath, 0.008 * bundles + 0.002 * threads, rng.uniform(0.4, 0.7))


def tendon(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Pearly white to yellowish cords with fine lengthwise fibres. The caller gives the band its form."""
    colour = _tint(rng, (0.56, 0.52, 0.43), (0.50, 0.44, 0.32), (0.60, 0.58, 0.52))
    threads = fibres(rng, shape, unit * 0.007, 18, 0.0)
    shade = np.exp(0.13 * threads + 0.10 * noise(rng, shape, unit * 0.1))
    return _painted(colour * shade[..., None], 0.004 * threads, rng.uniform(0.5, 0.9))


def bone(rng: np.random.Generator, shape: Shape, unit: int) -> Painted:
    """Hard, smooth, ivory, with pin-point bleeding from its canals."""
    colour = _tint(rng, (0.60, 0.51, 0.35), (0.54, 0.44, 0.28), (0.64, 0.59, 0.46))
    tone = fractal(rng, shape, unit * 0.08, 3)
    pores = step(1.0, 1.7, noise(rng, shape, unit * 0.011))[..., None]
    albedo = colour * np.exp(0.09 * tone)[..., None] * (1 - pores * np.array([0.28, 0.62, 0.66], np.float32))
    return _painted(albedo, 0.003 * tone, rng.uniform(0.4, 0.85))


def _painted(albedo: Rgb, relief: Field, gloss: float) -> Painted:
    return np.maximum(albedo, 0.004).astype(np.float32), np.asarray(relief, np.float32), float(gloss)
