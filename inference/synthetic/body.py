"""Healthy skin on a body part, and what lies behind it."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np

from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import MELANIN, OXYGENATED, STAGNANT, Rgb, absorb, blend, decode_hex, skin_tone
from inference.synthetic.fields import Field, coordinates, fractal, noise, soften, step

#: Where the picture is taken, and how the body runs through it there.
LOCATIONS: Final[dict[str, str]] = {
    "sacrum": "cleft", "coccyx": "cleft", "ischium": "round", "trochanter": "flat", "hip": "flat", "scapula": "flat",
    "heel": "edge", "ankle": "limb", "elbow": "limb", "knee": "limb", "shoulder": "edge", "other": "flat",
}  # fmt: skip

#: Sheets, drapes, underpads and gloves of a ward, sRGB.
LINEN: Final = ("e8eaec", "dfe6ea", "cfdde8", "7fb0c9", "3f7f9c", "4fa59a", "2f8f86", "f2efe6", "c9d6c2", "3b62a8")


def paint_body(rng: np.random.Generator, canvas: Canvas, monk: int, location: str, linen: tuple[str, ...]) -> None:
    """Fill the canvas with skin of tone `monk` (1–10), shaped as at `location`, and put linen where the body ends."""
    size = canvas.size
    shape = (size, size)
    tone = skin_tone(monk, float(rng.uniform(-1, 1)), float(rng.uniform(0.10, 0.40)))
    albedo = np.broadcast_to(tone, (size, size, 3)).astype(np.float32)

    # Melanin is clumped and slow to change, blood is mottled: two independent fields, or skin looks like paper.
    melanin = 0.055 * fractal(rng, shape, size * rng.uniform(0.25, 0.6), 4, 0.6) + 0.03 * noise(rng, shape, size * 0.02)
    blood = (0.10 - 0.006 * monk) * fractal(rng, shape, size * rng.uniform(0.12, 0.45), 3)
    albedo = absorb(absorb(albedo, melanin * np.float32(0.7 + 0.07 * monk), MELANIN), blood, OXYGENATED)

    relief = _relief(rng, size)
    # Furrows are darker as well as lower.
    canvas.albedo = np.asarray(albedo * (1 + 44 * np.minimum(relief, 0))[..., None], np.float32)
    canvas.height = relief
    canvas.gloss = np.full(shape, rng.uniform(0.03, 0.12) + 0.008 * monk, np.float32)
    outside = _form(rng, canvas, LOCATIONS[location])
    if outside is not None:
        _background(rng, canvas, outside, linen)


def _relief(rng: np.random.Generator, size: int) -> Field:
    """Furrows and pores of the skin's surface, in half picture widths; weaker in a soft or distant skin."""
    shape = (size, size)
    strength = np.float32(rng.uniform(0.0006, 0.0028))
    first = 1 - step(0.0, 0.35, np.abs(noise(rng, shape, size * 0.028)))
    second = 1 - step(0.0, 0.35, np.abs(noise(rng, shape, size * 0.020)))
    grain = noise(rng, shape, size * 0.009)
    return np.asarray(-strength * np.maximum(first, second) + 0.5 * strength * grain, np.float32)


def _form(rng: np.random.Generator, canvas: Canvas, form: str) -> Field | None:
    """Bend the body; return the mask of what is not body, or None when skin fills the picture."""
    x, y = coordinates(canvas.size)
    angle = float(rng.uniform(0, 2 * math.pi))
    across = x * math.cos(angle) + y * math.sin(angle)
    along = y * math.cos(angle) - x * math.sin(angle)
    wave = 0.10 * noise(rng, (canvas.size, canvas.size), canvas.size * 0.8)
    if form == "cleft" and rng.random() < 0.6:
        place = float(rng.choice((-1, 1)) * rng.uniform(0.45, 0.95))
        fold = across - place + 0.15 * along * along + wave
        canvas.height += 0.5 * (1 - np.exp(-np.abs(fold) / 0.16)).astype(np.float32)
        canvas.albedo = absorb(canvas.albedo, np.exp(-((fold / 0.05) ** 2)).astype(np.float32) * 0.9, MELANIN + 0.3)
        canvas.albedo = absorb(canvas.albedo, np.exp(-((fold / 0.25) ** 2)).astype(np.float32) * 0.15, OXYGENATED)
        return None
    if form in ("flat", "cleft"):
        canvas.height -= np.float32(rng.uniform(0, 0.12)) * (across * across).astype(np.float32)
        return None
    # A limb is a cylinder, a heel a rounder end; the drop of its height is what darkens it towards the edge.
    reach = float(rng.uniform(0.75, 1.15) if form == "limb" else rng.uniform(0.55, 1.1))
    bow = float(rng.uniform(0.05, 0.2) if form == "limb" else rng.uniform(0.2, 0.5))
    edge = across + bow * along * along + wave
    if form == "round":
        edge = 0.75 * np.sqrt(across * across + along * along) + wave + 0.1
        reach = float(rng.uniform(0.8, 1.1))
    distance = edge - reach
    inside = np.clip(-distance, 0.0, 1.2)
    canvas.height += 0.55 * np.sqrt(1 - (1 - inside / 1.2) ** 2).astype(np.float32)
    outside = step(-0.006, 0.006, np.asarray(distance, np.float32))
    return outside if float(outside.mean()) > 0.002 else None


def _background(rng: np.random.Generator, canvas: Canvas, outside: Field, linen: tuple[str, ...]) -> None:
    size = canvas.size
    folds = fractal(rng, (size, size), size * rng.uniform(0.15, 0.5), 3, 0.4)
    shade = 1 + 0.10 * folds + 0.03 * noise(rng, (size, size), 1.5)
    cloth = decode_hex(str(rng.choice(linen))) * np.float32(rng.uniform(0.6, 1.0))
    # The body lies on the cloth and takes its light away next to the edge.
    contact = soften(1 - outside, size * rng.uniform(0.02, 0.06))
    painted: Rgb = (cloth * (shade * (1 - 0.75 * contact))[..., None]).astype(np.float32)
    canvas.albedo = blend(canvas.albedo, painted, outside)
    canvas.height = np.asarray(canvas.height * (1 - outside) + outside * 0.02 * folds, np.float32)
    canvas.gloss *= 1 - 0.9 * outside
    canvas.skin = 1 - outside


def paint_surface(rng: np.random.Generator, canvas: Canvas, monk: int) -> list[str]:
    """Add what grows on or shows through skin: moles, freckles, veins, hair. Returns the names of what was added."""
    added = []
    intact = canvas.skin * (1 - canvas.bed)
    if rng.random() < 0.45:
        _moles(rng, canvas, intact)
        added.append("moles")
    if rng.random() < 0.22:
        _veins(rng, canvas, intact, monk)
        added.append("veins")
    if rng.random() < 0.40:
        _hair(rng, canvas, monk)
        added.append("hair")
    return added


def _moles(rng: np.random.Generator, canvas: Canvas, intact: Field) -> None:
    size = canvas.size
    spots = np.zeros((size, size), np.float32)
    for _ in range(int(rng.choice((2, 5, 30, 70)))):
        radius = max(0.6, float(rng.gamma(1.6, 0.0032)) * size)
        centre = (int(rng.integers(0, size) * 8), int(rng.integers(0, size) * 8))
        cv2.circle(spots, centre, int(radius * 8), float(rng.uniform(0.25, 1.0)), -1, cv2.LINE_AA, 3)
    spots = soften(spots, max(0.5, size * 0.0025)) * intact
    canvas.albedo = absorb(canvas.albedo, spots * np.float32(rng.uniform(0.4, 1.1)), MELANIN)


def _veins(rng: np.random.Generator, canvas: Canvas, intact: Field, monk: int) -> None:
    size = canvas.size
    lines = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 4))):
        points = _walk(rng, size, 14, size * 0.09, 0.35)
        cv2.polylines(lines, [points], False, 1.0, max(1, int(size * rng.uniform(0.012, 0.03))), cv2.LINE_AA)
    lines = soften(lines, size * 0.012) * intact
    canvas.albedo = absorb(canvas.albedo, lines * np.float32(0.30 * (1 - 0.06 * monk)), STAGNANT)
    canvas.height += 0.012 * lines


def _hair(rng: np.random.Generator, canvas: Canvas, monk: int) -> None:
    size = canvas.size
    hairs = np.zeros((size, size), np.float32)
    lean = float(rng.uniform(0, 2 * math.pi))
    length = size * float(rng.uniform(0.06, 0.22))
    for _ in range(int(rng.choice((12, 35, 80)))):
        angle = lean + 0.5 * float(rng.standard_normal())
        start = rng.uniform(0, size, 2)
        bend = float(rng.normal(0, 0.9))
        steps = [start]
        for part in range(4):
            turn = angle + bend * part / 4
            steps.append(steps[-1] + np.array([math.cos(turn), math.sin(turn)]) * length / 4)
        cv2.polylines(hairs, [(np.array(steps) * 8).astype(np.int32)], False, 1.0, 1, cv2.LINE_AA, 3)
    hairs *= canvas.skin * (1 - 0.85 * canvas.bed)
    light = monk <= 4 and rng.random() < 0.3
    colour = decode_hex("b89a70" if light else "1d1613")
    canvas.albedo = blend(canvas.albedo, colour, hairs * np.float32(rng.uniform(0.25, 0.75)))


def _walk(rng: np.random.Generator, size: int, count: int, stride: float, turn: float) -> cv2.typing.MatLike:
    """Return points (count, 1, 2) of a wandering line that starts somewhere in the picture."""
    angles = rng.uniform(0, 2 * math.pi) + np.cumsum(rng.normal(0, turn, count))
    steps = np.stack([np.cos(angles), np.sin(angles)], axis=1) * stride
    points = rng.uniform(0, size, 2) + np.cumsum(steps, axis=0) - steps.sum(axis=0) / 2
    return points.astype(np.int32)[:, None, :]
