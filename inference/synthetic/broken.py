"""Classes whose skin is broken: stages 2 to 4 and unstageable differ in depth and in what lies bare."""

from __future__ import annotations

import math

import numpy as np

from inference.synthetic import tissue
from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import BILIRUBIN, OXYGENATED, absorb, blend
from inference.synthetic.fields import Field, fibres, noise, step
from inference.synthetic.intact import blood_pigment, visible
from inference.synthetic.wounds import Layer, Recipe, dome, open_wound


def stage_2(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Partial thickness: a shallow pink or red open bed without slough, or a serum blister, whole or torn."""
    variant = str(rng.choice(("open", "fibrin", "blister", "torn"), p=(0.48, 0.16, 0.18, 0.18)))
    if variant == "blister":
        redness = Recipe(layers=(), depth=0, sharpness=0.05, redness=float(rng.uniform(0.1, 0.7)))
        halo = np.exp(np.minimum(inside, 0) / 0.35) * redness.redness * visible(monk)
        canvas.albedo = absorb(canvas.albedo, np.asarray(halo * canvas.skin, np.float32), blood_pigment(monk, 0.0))
        mask = dome(canvas, inside, float(rng.uniform(0.06, 0.16)))
        # Serum: the skin is lifted off, paler in the light tones and yellowish in all.
        lifted = canvas.albedo * np.array([1.02, 1.06, 1.06], np.float32) + np.array([0.05, 0.035, 0.015], np.float32)
        canvas.albedo = blend(canvas.albedo, lifted, mask * np.float32(rng.uniform(0.4, 1.0)))
        canvas.albedo = absorb(canvas.albedo, mask * np.float32(rng.uniform(0.1, 0.5)), BILIRUBIN)
        rim = np.exp(-((inside / 0.07) ** 2)).astype(np.float32) * canvas.skin
        canvas.albedo = absorb(canvas.albedo, rim * np.float32(0.4 * visible(monk)), OXYGENATED)
        canvas.lesion = np.maximum(canvas.lesion, mask)
        return variant
    layers = [Layer(name="dermis", painter=tissue.dermis, share=1.0)]
    if variant == "fibrin":
        share = float(rng.uniform(0.03, 0.14))
        layers.append(Layer(name="slough", painter=tissue.slough, share=share, cell=0.06, softness=0.5))
    recipe = Recipe(
        layers=tuple(layers),
        depth=float(rng.uniform(0.008, 0.035)),
        sharpness=float(rng.uniform(0.02, 0.09)),
        rim=float(rng.uniform(0.0, 0.012)),
        redness=float(rng.uniform(0.1, 0.8)),
        pallor=float(rng.choice((0.0, rng.uniform(0.2, 0.8)))),
        pigment=float(rng.uniform(0.0, 0.5)),
    )
    open_wound(rng, canvas, inside, recipe, monk)
    if variant == "torn":
        _flap(rng, canvas, inside)
    return variant


def _flap(rng: np.random.Generator, canvas: Canvas, inside: Field) -> None:
    """The wrinkled, whitish roof of a torn blister, still hanging on one side."""
    size = canvas.size
    ragged = inside + 0.10 * noise(rng, (size, size), size * 0.05)
    side = step(-0.2, 0.3, noise(rng, (size, size), size * 0.45))
    mask = step(0.34, 0.24, ragged) * step(-0.04, 0.0, ragged) * side * canvas.skin
    wrinkles = fibres(rng, (size, size), size * 0.012, 4, float(rng.uniform(0, math.pi)))
    skin = canvas.albedo.mean(axis=(0, 1)) * 0.6 + np.array([0.30, 0.25, 0.20], np.float32)
    canvas.albedo = blend(canvas.albedo, skin * np.exp(0.1 * wrinkles)[..., None], mask * np.float32(0.8))
    canvas.height += mask * (0.02 + 0.008 * wrinkles)


def stage_3(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Full thickness: fat and granulation in a real hollow, rolled or undermined edges, slough on less than half."""
    variant = str(rng.choice(("fat", "granulating", "sloughy"), p=(0.40, 0.28, 0.32)))
    fat = {"fat": (0.25, 0.75), "granulating": (0.10, 0.25), "sloughy": (0.08, 0.35)}[variant]
    slough = {"fat": (0.0, 0.25), "granulating": (0.0, 0.18), "sloughy": (0.22, 0.48)}[variant]
    layers = (
        Layer(name="granulation", painter=tissue.granulation, share=1.0),
        Layer(name="fat", painter=tissue.fat, share=float(rng.uniform(*fat)), cell=0.14),
        Layer(name="slough", painter=tissue.slough, share=float(rng.uniform(*slough)), cell=0.10),
        Layer(name="eschar", painter=tissue.eschar, share=float(max(0.0, rng.uniform(-0.12, 0.08))), cell=0.07),
    )
    recipe = Recipe(
        layers=layers,
        depth=float(rng.uniform(0.05, 0.20)),
        sharpness=float(rng.uniform(0.02, 0.06)),
        rim=float(rng.uniform(0.008, 0.055)),
        undermining=float(rng.choice((0.0, rng.uniform(0.2, 0.8)))),
        redness=float(rng.uniform(0.1, 0.8)),
        pallor=float(rng.choice((0.0, rng.uniform(0.2, 0.9)))),
        pigment=float(rng.uniform(0.0, 0.9)),
        film=0.35,
    )
    open_wound(rng, canvas, inside, recipe, monk)
    return variant


def stage_4(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """A crater down to muscle, tendon or bone, often undermined, slough or eschar on a part of it."""
    variant = str(rng.choice(("structure", "muscle"), p=(0.86, 0.14)))
    muscle = (0.3, 0.8) if variant == "structure" else (0.65, 0.97)
    layers = (
        Layer(name="granulation", painter=tissue.granulation, share=1.0),
        Layer(name="fat", painter=tissue.fat, share=float(max(0.0, rng.uniform(-0.2, 0.2))), cell=0.12),
        Layer(name="muscle", painter=tissue.muscle, share=float(rng.uniform(*muscle)), cell=0.22),
        Layer(name="slough", painter=tissue.slough, share=float(max(0.0, rng.uniform(-0.1, 0.28))), cell=0.10),
        Layer(name="eschar", painter=tissue.eschar, share=float(max(0.0, rng.uniform(-0.2, 0.15))), cell=0.08),
    )
    # What makes it a stage 4 must be seen: in a small wound a small structure would be a label without a sign.
    small = float((inside > 0).mean()) < 0.05
    exposed = float(rng.uniform(0.30 if small else 0.18, 0.48))
    recipe = Recipe(
        layers=layers,
        depth=float(rng.uniform(0.14, 0.40)),
        sharpness=float(rng.uniform(0.015, 0.05)),
        rim=float(rng.uniform(0.005, 0.05)),
        undermining=float(rng.choice((0.2, rng.uniform(0.4, 1.0)))),
        redness=float(rng.uniform(0.1, 0.8)),
        pallor=float(rng.choice((0.0, rng.uniform(0.2, 0.9)))),
        pigment=float(rng.uniform(0.0, 0.9)),
        exposed=exposed if variant == "structure" else 0.0,
        film=0.30,
    )
    open_wound(rng, canvas, inside, recipe, monk)
    return variant


def unstageable(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Full thickness of unknown depth: slough or eschar hides two thirds of the bed or more."""
    variant = str(rng.choice(("eschar", "slough", "mixed"), p=(0.40, 0.32, 0.28)))
    hidden = float(rng.uniform(0.66, 1.0))
    slough = Layer(name="slough", painter=tissue.slough, share=hidden, cell=0.16)
    black = hidden if variant == "eschar" else float(rng.uniform(0.25, 0.6))
    eschar = Layer(name="eschar", painter=tissue.eschar, share=black, cell=0.18, softness=0.12)
    chosen = {"eschar": (eschar,), "slough": (slough,), "mixed": (slough, eschar)}[variant]
    recipe = Recipe(
        layers=(Layer(name="granulation", painter=tissue.granulation, share=1.0), *chosen),
        depth=float(rng.uniform(0.0, 0.10)),
        sharpness=float(rng.uniform(0.02, 0.06)),
        rim=float(rng.uniform(0.0, 0.035)),
        undermining=float(rng.choice((0.0, 0.0, rng.uniform(0.2, 0.6)))),
        redness=float(rng.uniform(0.1, 1.0)),
        pallor=float(rng.choice((0.0, rng.uniform(0.2, 0.9)))),
        pigment=float(rng.uniform(0.0, 0.9)),
    )
    open_wound(rng, canvas, inside, recipe, monk)
    return variant
