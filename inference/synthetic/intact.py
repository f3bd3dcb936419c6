"""Classes whose skin is whole: none, stage 1 and deep tissue injury differ in colour, edge and swelling alone."""

from __future__ import annotations

import math

import numpy as np

from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import MELANIN, OXYGENATED, STAGNANT, Rgb, absorb, blend
from inference.synthetic.fields import Field, fibres, fractal, step
from inference.synthetic.wounds import dome


def visible(monk: int) -> float:
    """Return the share of a change of blood that melanin lets through."""
    return 1 - 0.062 * (monk - 1)


def blood_pigment(monk: int, dusk: float) -> Rgb:
    """Return the pigment of erythema: the darker the skin (or the more `dusk`, 0–1), the more purple it looks."""
    share = np.float32(min(1.0, 0.045 * (monk - 1) + dusk))
    return np.asarray(OXYGENATED * (1 - share) + STAGNANT * share, np.float32)


def none(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Healthy skin, and what is mistaken for an injury: flush, scar, pigment, shadow-like friction marks."""
    size = canvas.size
    variant = str(rng.choice(("plain", "flush", "scar", "pigment", "dry"), p=(0.34, 0.26, 0.16, 0.14, 0.10)))
    if variant == "flush":
        # Blanchable: wide, faint, without an outline, and uneven as blood moves.
        wide = np.exp(np.minimum(inside, 0.3) / np.float32(rng.uniform(0.5, 1.4)))
        uneven = np.clip(0.75 + 0.5 * fractal(rng, (size, size), size * 0.25, 3), 0, 2)
        amount = np.asarray(wide * uneven * float(rng.uniform(0.12, 0.40)) * visible(monk), np.float32)
        canvas.albedo = absorb(canvas.albedo, amount * canvas.skin, blood_pigment(monk, 0.0))
    elif variant == "scar":
        mask = step(-0.05, float(rng.uniform(0.05, 0.3)), inside) * canvas.skin
        streaks = fibres(rng, (size, size), size * 0.02, 5, float(rng.uniform(0, math.pi)))
        pale = canvas.albedo.mean(axis=(0, 1)) * np.array([1.18, 1.15, 1.14], np.float32)
        shade = np.exp(0.06 * streaks)[..., None]
        canvas.albedo = blend(canvas.albedo, pale * shade, mask * np.float32(rng.uniform(0.35, 0.8)))
        canvas.height += mask * (0.008 * streaks + np.float32(rng.uniform(-0.02, 0.03)))
        canvas.gloss += mask * np.float32(0.15)
    elif variant == "pigment":
        mask = step(-0.25, 0.35, inside) * canvas.skin
        uneven = np.clip(0.8 + 0.3 * fractal(rng, (size, size), size * 0.12, 3), 0, 2)
        canvas.albedo = absorb(canvas.albedo, mask * uneven * np.float32(rng.uniform(0.15, 0.55)), MELANIN)
    elif variant == "dry":
        flakes = step(0.5, 1.3, fractal(rng, (size, size), size * 0.04, 2)) * step(-0.4, 0.3, inside) * canvas.skin
        pale = canvas.albedo.mean(axis=(0, 1)) * 0.7 + 0.25
        canvas.albedo = blend(canvas.albedo, pale.astype(np.float32), flakes * np.float32(rng.uniform(0.15, 0.4)))
        canvas.height += 0.006 * flakes
    return variant


def stage_1(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Intact skin, localised redness that stays, with a soft edge; faint and purplish on dark skin."""
    size = canvas.size
    softness = float(rng.uniform(0.15, 0.55))
    mask = step(-softness, softness, inside) * canvas.skin
    uneven = np.clip(0.95 + 0.22 * fractal(rng, (size, size), size * 0.09, 3), 0.2, 2)
    strength = float(rng.uniform(0.42, 1.25))
    amount = np.asarray(mask * uneven * strength * visible(monk), np.float32)
    canvas.albedo = absorb(canvas.albedo, amount, blood_pigment(monk, float(rng.uniform(0.0, 0.25))))
    # Warm, boggy or firm: a slight swelling, a tauter shine, and pigment drawn together on dark skin.
    canvas.albedo = absorb(canvas.albedo, mask * np.float32(0.018 * monk * rng.uniform(0.3, 1.0)), MELANIN)
    canvas.height += mask * np.float32(rng.uniform(0.0, 0.03))
    canvas.gloss += mask * np.float32(rng.uniform(0.0, 0.12))
    canvas.lesion = np.maximum(canvas.lesion, mask)
    return "erythema"


def dtpi(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Intact skin, purple or maroon, mottled and dark in the middle; or a blister full of blood."""
    size = canvas.size
    variant = str(rng.choice(("discoloured", "blood_blister"), p=(0.75, 0.25)))
    halo = np.exp(np.minimum(inside, 0) / np.float32(rng.uniform(0.1, 0.4))) * canvas.skin
    red = np.float32(float(rng.uniform(0.05, 0.5)) * visible(monk))
    canvas.albedo = absorb(canvas.albedo, np.asarray(halo * red, np.float32), blood_pigment(monk, 0.1))
    edge = float(rng.uniform(0.06, 0.35))
    mask = step(-edge, edge, inside) * canvas.skin
    mottled = np.clip(0.9 + 0.35 * fractal(rng, (size, size), size * 0.10, 4), 0.15, 2)
    core = 0.75 + 0.5 * step(0.0, 0.6, inside)
    # Stagnant blood darkens red light too, so that it shows on dark skin where erythema does not.
    strength = float(rng.uniform(0.75, 2.0)) * (1 - 0.03 * (monk - 1))
    maroon = np.asarray(STAGNANT * np.array([1.0, 1.0, rng.uniform(0.85, 1.35)]), np.float32)
    canvas.albedo = absorb(canvas.albedo, np.asarray(mask * mottled * core * strength, np.float32), maroon)
    if variant == "blood_blister":
        inner = inside - np.float32(rng.uniform(0.0, 0.35))
        roof = dome(canvas, inner, float(rng.uniform(0.06, 0.15)))
        canvas.albedo = absorb(canvas.albedo, roof * np.float32(rng.uniform(0.5, 1.4)), maroon)
    canvas.lesion = np.maximum(canvas.lesion, mask)
    return variant
