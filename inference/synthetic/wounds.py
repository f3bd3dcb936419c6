"""Open wounds: skin that is gone, what lies bare in its place, and what the edge looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import MELANIN, OXYGENATED, STAGNANT, absorb, blend
from inference.synthetic.fields import Field, cover, fractal, noise, outline, soften, step
from inference.synthetic.tissue import Painter, bone, tendon


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A tissue over the ones before it, on `share` of the bed, in patches of `cell` picture widths."""

    name: str
    painter: Painter
    share: float
    cell: float = 0.12
    softness: float = 0.30


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One open wound. Lengths are in half picture widths; the first layer covers the whole bed.

    `rim`: height of the rolled edge. `undermining` 0–1: how far the edge overhangs, seen as a dark crescent. `redness`,
    `pallor` and `pigment` 0–1: erythema, maceration and darkening of the skin around. `exposed`: share of the bed
    taken by bone or tendon.
    """

    layers: tuple[Layer, ...]
    depth: float
    sharpness: float
    rim: float = 0.0
    undermining: float = 0.0
    redness: float = 0.3
    pallor: float = 0.0
    pigment: float = 0.0
    exposed: float = 0.0
    film: float = 0.45


def open_wound(rng: np.random.Generator, canvas: Canvas, inside: Field, recipe: Recipe, monk: int) -> None:
    """Cut the wound whose depth field (see `fields.outline`) is `inside` into the canvas."""
    size = canvas.size
    bed = step(-recipe.sharpness, recipe.sharpness, inside) * canvas.skin
    _surroundings(rng, canvas, inside, recipe, monk)
    rows, columns = _box(bed)
    if rows.stop - rows.start < 4 or columns.stop - columns.start < 4:
        return
    local = bed[rows, columns]
    shape = (local.shape[0], local.shape[1])
    depth_here = inside[rows, columns]

    albedo, relief, gloss_value = recipe.layers[0].painter(rng, shape, size)
    gloss = np.full(shape, gloss_value, np.float32)
    shares: dict[str, Field] = {recipe.layers[0].name: local.copy()}
    for layer in recipe.layers[1:]:
        # Debris gathers in the middle, and healthy tissue grows from the edge: hence the term in depth.
        middling = np.float32(0.6) * np.minimum(depth_here, 0.8)
        field: Field = np.asarray(fractal(rng, shape, size * layer.cell, 3) + middling, np.float32)
        mask = cover(field, local, layer.share, layer.softness)
        painted, bumps, shine = layer.painter(rng, shape, size)
        albedo = blend(albedo, painted, mask)
        relief = np.asarray(relief + mask * (bumps + 0.008 - relief * 0.7), np.float32)
        gloss += mask * (np.float32(shine) - gloss)
        _take(shares, layer.name, mask * local, mask)
    if recipe.exposed > 0:
        albedo, relief, gloss = _expose(rng, canvas, inside, recipe, (rows, columns), (albedo, relief, gloss), shares)

    # A film of blood and exudate lies over all of it and ties the colours together.
    film = np.clip(0.5 + 0.5 * fractal(rng, shape, size * 0.10, 2), 0, 1.5) * np.float32(rng.uniform(0.0, recipe.film))
    albedo = albedo * np.exp(-film[..., None] * np.array([0.25, 0.9, 0.85], np.float32))

    wall = step(0.0, 0.45, depth_here)
    overhang = _overhang(rng, canvas.size, inside, recipe.undermining)[rows, columns]
    # Light is lost between the walls: the deeper, the darker, and redder because tissue scatters it.
    loss = np.asarray(recipe.depth * wall * 0.9 + overhang * 1.6, np.float32)
    albedo = albedo * np.exp(-loss[..., None] * np.array([0.8, 1.0, 1.0], np.float32))
    canvas.albedo[rows, columns] = blend(canvas.albedo[rows, columns], albedo, local)
    canvas.gloss[rows, columns] += local * (gloss - canvas.gloss[rows, columns])
    sunk = canvas.height[rows, columns] - recipe.depth * step(-0.02, 0.30, depth_here)
    canvas.height[rows, columns] = sunk + local * relief
    canvas.bed = np.maximum(canvas.bed, bed)
    canvas.lesion = np.maximum(canvas.lesion, bed)
    for name, mask in shares.items():
        whole = canvas.tissue.setdefault(name, np.zeros((size, size), np.float32))
        whole[rows, columns] = np.maximum(whole[rows, columns], mask)


def _surroundings(rng: np.random.Generator, canvas: Canvas, inside: Field, recipe: Recipe, monk: int) -> None:
    size = canvas.size
    ragged = inside + 0.12 * noise(rng, (size, size), size * 0.12)
    width = float(rng.uniform(0.15, 0.6))
    halo = np.exp(np.minimum(ragged, 0) / np.float32(width)) * canvas.skin
    # Melanin hides most of the blood below it.
    visible = 1 - 0.065 * (monk - 1)
    pigment = OXYGENATED * np.float32(1 - 0.035 * monk) + STAGNANT * np.float32(0.035 * monk)
    canvas.albedo = absorb(canvas.albedo, np.asarray(halo * recipe.redness * visible, np.float32), pigment)
    if recipe.pigment > 0:
        ring = step(-0.5, -0.05, ragged) * canvas.skin
        canvas.albedo = absorb(canvas.albedo, ring * np.float32(0.5 * recipe.pigment), MELANIN)
    if recipe.pallor > 0:
        ring = np.exp(-(((ragged + 0.09) / 0.08) ** 2)).astype(np.float32) * canvas.skin
        ring *= step(-0.7, 0.7, noise(rng, (size, size), size * 0.22))  # soaked on some sides only
        white = np.array([0.78, 0.68, 0.58], np.float32) * np.float32(0.55 + 0.45 * visible)
        canvas.albedo = blend(canvas.albedo, white, ring * np.float32(0.6 * recipe.pallor))
    canvas.height += np.float32(recipe.rim) * np.exp(-(((inside + 0.07) / 0.075) ** 2)).astype(np.float32)


def _overhang(rng: np.random.Generator, size: int, inside: Field, strength: float) -> Field:
    """Dark crescent below an overhanging edge, on some sides of the wound only."""
    if strength <= 0:
        return np.zeros_like(inside)
    side = step(-0.3, 0.6, noise(rng, (size, size), size * 0.5))
    return np.asarray(strength * side * step(0.30, 0.0, inside) * step(-0.02, 0.04, inside), np.float32)


def _expose(
    rng: np.random.Generator,
    canvas: Canvas,
    inside: Field,
    recipe: Recipe,
    box: tuple[slice, slice],
    bed: tuple[Field, Field, Field],
    shares: dict[str, Field],
) -> tuple[Field, Field, Field]:
    """Lay a plate of bone or a band of tendon bare, covering `recipe.exposed` of the bed."""
    size = canvas.size
    albedo, relief, gloss = bed
    inner = step(0.05, 0.2, inside[box])
    ys, xs = np.nonzero(inside[::4, ::4] > 0.12)
    if ys.size == 0:
        return bed
    centre = (float(xs.mean()) * 8 / size - 1, float(ys.mean()) * 8 / size - 1)
    is_bone = rng.random() < 0.5
    angle = float(rng.uniform(0, math.pi))
    area = float((inside > 0).mean()) * 4 * recipe.exposed
    aspect = float(rng.uniform(1.1, 2.0) if is_bone else rng.uniform(3.0, 7.0))
    form = outline(
        rng,
        size,
        centre=(centre[0] + 0.03 * float(rng.standard_normal()), centre[1] + 0.03 * float(rng.standard_normal())),
        radius=math.sqrt(area / math.pi),
        aspect=aspect,
        angle=angle,
        roughness=0.10 if is_bone else 0.05,
    )[box]
    mask = step(-0.05, 0.10, form) * inner
    painter, name = (bone, "bone") if is_bone else (tendon, "tendon")
    shape = (mask.shape[0], mask.shape[1])
    painted, bumps, shine = painter(rng, shape, size)
    rounding = np.sqrt(np.clip(form, 0, 1))
    veil = 1 - 0.35 * step(0.3, 1.5, fractal(rng, shape, size * 0.06, 2))
    mask = mask * veil
    edge = np.exp(-((form / 0.12) ** 2)).astype(np.float32) * inner
    albedo = blend(albedo * (1 - 0.45 * edge[..., None]), painted, mask)
    relief = np.asarray(relief * (1 - mask) + mask * (bumps + 0.05 * rounding), np.float32)
    _take(shares, name, mask * step(0.3, 0.7, inside[box] * 8), mask)
    return albedo, relief, gloss + mask * (np.float32(shine) - gloss)


def _take(shares: dict[str, Field], name: str, mask: Field, hides: Field) -> None:
    """Add a tissue to the map of shares and take its pixels from those below."""
    for key in shares:
        shares[key] = shares[key] * (1 - hides)
    shares[name] = np.maximum(shares.get(name, np.zeros_like(mask)), mask)


def _box(mask: Field) -> tuple[slice, slice]:
    rows = np.flatnonzero(mask.max(axis=1) > 0.01)
    columns = np.flatnonzero(mask.max(axis=0) > 0.01)
    if rows.size == 0:
        return slice(0, 0), slice(0, 0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def dome(canvas: Canvas, inside: Field, height: float) -> Field:
    """Raise a blister over `inside` and return its mask."""
    mask = step(-0.03, 0.03, inside) * canvas.skin
    form = np.sqrt(np.clip(1 - (1 - np.clip(inside, 0, 1)) ** 2, 0, 1))
    canvas.height += np.asarray(mask * height * form, np.float32)
    smooth = soften(canvas.height, canvas.size * 0.01)
    canvas.height = np.asarray(canvas.height * (1 - mask) + smooth * mask, np.float32)
    canvas.gloss += mask * (np.float32(0.75) - canvas.gloss)
    return mask
