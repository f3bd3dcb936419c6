"""What each class shows (NPIAP 2016), from plain textbook pictures to the neighbours that clinicians argue about.

Every class draws its signs from ranges that touch or overlap those of its neighbours: a faint stage 1 and a flush, a
fibrinous stage 2 and a shallow stage 3, a stage 3 under half covered by slough and an unstageable one, a dusky stage
1 and a deep tissue injury.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from inference.synthetic import tissue
from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import BILIRUBIN, MELANIN, OXYGENATED, STAGNANT, Rgb, absorb, blend
from inference.synthetic.fields import Field, fibres, fractal, noise, outline, step
from inference.synthetic.wounds import Layer, Recipe, dome, open_wound

Drawer = Callable[[np.random.Generator, Canvas, Field, int], str]


def place(rng: np.random.Generator, size: int, *, scale: tuple[float, float], spread: float) -> Field:
    """Return the depth field of a lesion with a radius within `scale`, off the middle by about `spread`."""
    radius = math.exp(float(rng.uniform(math.log(scale[0]), math.log(scale[1]))))
    room = max(0.0, 0.85 - radius)
    centre = np.clip(rng.normal(0, spread, 2), -room, room)
    return outline(
        rng,
        size,
        centre=(float(centre[0]), float(centre[1])),
        radius=radius,
        aspect=float(rng.uniform(1.0, 2.0)),
        angle=float(rng.uniform(0, math.pi)),
        roughness=float(rng.uniform(0.04, 0.20)),
    )


def _visible(monk: int) -> float:
    """Share of a change of blood that melanin lets through."""
    return 1 - 0.062 * (monk - 1)


def _blood(monk: int, dusk: float) -> Rgb:
    """Pigment of erythema: the darker the skin (or the more `dusk`, 0–1), the more purple it looks."""
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
        amount = np.asarray(wide * uneven * float(rng.uniform(0.12, 0.40)) * _visible(monk), np.float32)
        canvas.albedo = absorb(canvas.albedo, amount * canvas.skin, _blood(monk, 0.0))
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
    amount = np.asarray(mask * uneven * strength * _visible(monk), np.float32)
    canvas.albedo = absorb(canvas.albedo, amount, _blood(monk, float(rng.uniform(0.0, 0.25))))
    # Warm, boggy or firm: a slight swelling, a tauter shine, and pigment drawn together on dark skin.
    canvas.albedo = absorb(canvas.albedo, mask * np.float32(0.018 * monk * rng.uniform(0.3, 1.0)), MELANIN)
    canvas.height += mask * np.float32(rng.uniform(0.0, 0.03))
    canvas.gloss += mask * np.float32(rng.uniform(0.0, 0.12))
    canvas.lesion = np.maximum(canvas.lesion, mask)
    return "erythema"


def stage_2(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Partial thickness: a shallow pink or red open bed without slough, or a serum blister, whole or torn."""
    variant = str(rng.choice(("open", "fibrin", "blister", "torn"), p=(0.48, 0.16, 0.18, 0.18)))
    if variant == "blister":
        redness = Recipe(layers=(), depth=0, sharpness=0.05, redness=float(rng.uniform(0.1, 0.7)))
        halo = np.exp(np.minimum(inside, 0) / 0.35) * redness.redness * _visible(monk)
        canvas.albedo = absorb(canvas.albedo, np.asarray(halo * canvas.skin, np.float32), _blood(monk, 0.0))
        mask = dome(canvas, inside, float(rng.uniform(0.06, 0.16)))
        # Serum: the skin is lifted off, paler in the light tones and yellowish in all.
        lifted = canvas.albedo * np.array([1.02, 1.06, 1.06], np.float32) + np.array([0.05, 0.035, 0.015], np.float32)
        canvas.albedo = blend(canvas.albedo, lifted, mask * np.float32(rng.uniform(0.4, 1.0)))
        canvas.albedo = absorb(canvas.albedo, mask * np.float32(rng.uniform(0.1, 0.5)), BILIRUBIN)
        rim = np.exp(-((inside / 0.07) ** 2)).astype(np.float32) * canvas.skin
        canvas.albedo = absorb(canvas.albedo, rim * np.float32(0.4 * _visible(monk)), OXYGENATED)
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


def dtpi(rng: np.random.Generator, canvas: Canvas, inside: Field, monk: int) -> str:
    """Intact skin, purple or maroon, mottled and dark in the middle; or a blister full of blood."""
    size = canvas.size
    variant = str(rng.choice(("discoloured", "blood_blister"), p=(0.75, 0.25)))
    halo = np.exp(np.minimum(inside, 0) / np.float32(rng.uniform(0.1, 0.4))) * canvas.skin
    red = np.float32(float(rng.uniform(0.05, 0.5)) * _visible(monk))
    canvas.albedo = absorb(canvas.albedo, np.asarray(halo * red, np.float32), _blood(monk, 0.1))
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


#: Drawer of each class, by its name in `inference.findings.CLASSES`.
DRAWERS: Final[Mapping[str, Drawer]] = MappingProxyType(
    {
        "none": none,
        "stage_1": stage_1,
        "stage_2": stage_2,
        "stage_3": stage_3,
        "stage_4": stage_4,
        "unstageable": unstageable,
        "dtpi": dtpi,
    }
)
