"""Things that lie in the picture and mean nothing: rulers, gloves, tape, dressings, pen marks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import cv2
import numpy as np

from inference.synthetic.canvas import Canvas
from inference.synthetic.colour import MELANIN, Rgb, absorb, blend, decode_hex
from inference.synthetic.fields import Field, coordinates, fractal, noise, outline, soften, step

_SHIFT: Final = 3  # OpenCV draws with 1/8 pixel


def _band(rng: np.random.Generator, canvas: Canvas, *, width: float, keep_out: float) -> tuple[Field, Field, Field]:
    """Coordinates (along, across) and mask of a strip that stays `keep_out` (0–1) away from the lesion's middle."""
    x, y = coordinates(canvas.size)
    angle = float(rng.uniform(0, 2 * math.pi))
    offset = float(rng.uniform(keep_out, 0.95))
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle) - offset
    mask = step(width, width - 0.012, np.abs(across))
    return np.asarray(along, np.float32), np.asarray(across, np.float32), mask


def ruler(rng: np.random.Generator, canvas: Canvas) -> None:
    """A paper ruler with a mark a millimetre and longer ones a centimetre."""
    width = float(rng.uniform(0.07, 0.12))
    along, across, mask = _band(rng, canvas, width=width, keep_out=0.6)
    end = float(rng.uniform(-1.0, 0.2))
    mask = mask * step(end - 0.006, end + 0.006, along)
    period = float(rng.uniform(0.022, 0.04))
    phase = np.abs(((along / period) % 1) - 0.5)
    centimetre = np.abs(((along / (10 * period)) % 1) - 0.5)
    reach = width * np.where(centimetre > 0.45, 0.9, 0.45)
    marks = step(0.30, 0.42, np.asarray(phase, np.float32)) * (across + width < reach)
    paper = decode_hex(str(rng.choice(("f4f2ea", "ffffff", "efe9c8", "e3eef2")))) * np.float32(0.92)
    albedo = np.asarray(paper * (1 - 0.85 * marks)[..., None], np.float32)
    canvas.lay(mask, albedo, gloss=0.15, height=0.03)


def glove(rng: np.random.Generator, canvas: Canvas) -> None:
    """One or two gloved fingertips from the picture's edge."""
    size = canvas.size
    colour = decode_hex(str(rng.choice(("3f5fb8", "5b6fc7", "6a4fa3", "e9e4da", "2a9d8f", "1c1c20"))))
    angle = float(rng.uniform(0, 2 * math.pi))
    for finger in range(int(rng.integers(1, 3))):
        side = angle + 0.32 * finger
        tip = np.array([math.cos(side), math.sin(side)]) * float(rng.uniform(0.62, 0.85))
        base = np.array([math.cos(angle), math.sin(angle)]) * 1.7 + 0.25 * finger
        thick = float(rng.uniform(0.09, 0.14))
        drawn = np.zeros((size, size), np.float32)
        points = ((np.stack([tip, base]) + 1) * size / 2 * 8).astype(np.int32)[:, None, :]
        cv2.polylines(drawn, [points], False, 1.0, int(thick * size), cv2.LINE_AA, _SHIFT)
        distance = np.asarray(cv2.distanceTransform((drawn > 0.5).astype(np.uint8), cv2.DIST_L2, 3), np.float32)
        round_off = np.sqrt(np.clip(distance * 2 / (thick * size), 0, 1))
        _shadow(canvas, drawn, size * 0.03)
        creases = noise(rng, (size, size), size * 0.03)
        albedo = np.asarray(colour * (0.55 + 0.4 * round_off + 0.04 * creases)[..., None], np.float32)
        canvas.lay(drawn, albedo, gloss=0.35, height=np.asarray(0.12 * round_off, np.float32))


def tape(rng: np.random.Generator, canvas: Canvas) -> None:
    """A strip of plaster or a corner of gauze."""
    width = float(rng.uniform(0.10, 0.28))
    along, _, mask = _band(rng, canvas, width=width, keep_out=0.7)
    mask = mask * step(-0.006, 0.006, along - np.float32(rng.uniform(-1, 0.3)))
    size = canvas.size
    colour = decode_hex(str(rng.choice(("f3efe6", "e8c9a4", "d9b48c", "ffffff"))))
    weave = noise(rng, (size, size), 1.6) * 0.05 + 0.05 * fractal(rng, (size, size), size * 0.1, 2)
    _shadow(canvas, mask, size * 0.012)
    canvas.lay(mask, np.asarray(colour * (0.9 + weave)[..., None], np.float32), gloss=0.05, height=0.02)


def pen(rng: np.random.Generator, canvas: Canvas) -> None:
    """A surgical marker around the site, or a few letters."""
    size = canvas.size
    lines = np.zeros((size, size), np.float32)
    if rng.random() < 0.7:
        rim = outline(
            rng,
            size,
            centre=(float(rng.normal(0, 0.1)), float(rng.normal(0, 0.1))),
            radius=float(rng.uniform(0.5, 0.85)),
            aspect=float(rng.uniform(1, 1.4)),
            angle=float(rng.uniform(0, math.pi)),
            roughness=0.06,
        )
        lines[:] = 1 - step(0.008, 0.022, np.abs(rim))
    else:
        text = "".join(rng.choice(list("ABCDLRSX0123456789"), 3))
        place = (int(size * rng.uniform(0.03, 0.6)), int(size * rng.choice((0.12, 0.92))))
        written = np.zeros((size, size), np.uint8)  # OpenCV 5 writes text on bytes only
        cv2.putText(written, text, place, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, size / 256 * 0.8, 255, 1, cv2.LINE_AA)
        lines[:] = written.astype(np.float32) / 255
    ink = decode_hex(str(rng.choice(("2b2a5e", "1b1b1f", "3a2a6b"))))
    canvas.albedo = blend(canvas.albedo, ink, lines * np.float32(rng.uniform(0.5, 0.9)) * canvas.skin)


def tattoo(rng: np.random.Generator, canvas: Canvas) -> None:
    """Faded lines below the skin, away from the lesion."""
    size = canvas.size
    drawn = np.zeros((size, size), np.float32)
    centre = rng.uniform(0.1, 0.9, 2) * size
    angles = np.sort(rng.uniform(0, 2 * math.pi, int(rng.integers(5, 11))))
    radii = rng.uniform(0.08, 0.28, angles.size) * size
    points = centre + np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
    for ring in (1.0, 0.7):
        loop = (centre + (points - centre) * ring).astype(np.int32)[:, None, :]
        cv2.polylines(drawn, [loop], True, 1.0, max(1, size // 110), cv2.LINE_AA)
    drawn = soften(drawn, size * 0.004) * canvas.skin * (1 - canvas.bed)
    ink: Rgb = np.array([1.5, 1.1, 0.8], np.float32)
    canvas.albedo = absorb(canvas.albedo, drawn * np.float32(rng.uniform(0.5, 1.3)), ink)


def sticker(rng: np.random.Generator, canvas: Canvas) -> None:
    """A label with lines of print that nobody could read."""
    size = canvas.size
    card = np.full((size, size, 3), 0.85, np.float32)
    for line in range(4):
        y = int(size * (0.06 + 0.05 * line))
        for _ in range(int(rng.integers(2, 5))):
            x = int(rng.integers(0, max(1, size // 4)))
            cv2.line(card, (x, y), (x + int(rng.integers(4, 22)), y), (0.08, 0.08, 0.08), max(1, size // 160))
    mask = np.zeros((size, size), np.float32)
    cv2.rectangle(mask, (0, 0), (int(size * 0.34), int(size * 0.24)), 1.0, -1)
    turn = cv2.getRotationMatrix2D((size * 0.17, size * 0.12), float(rng.uniform(-30, 30)), 1.0)
    turn[:, 2] += rng.choice((0.0, 0.62), 2) * size
    mask = np.asarray(cv2.warpAffine(mask, turn, (size, size)), np.float32)
    card = np.asarray(cv2.warpAffine(card, turn, (size, size), borderMode=cv2.BORDER_REPLICATE), np.float32)
    _shadow(canvas, mask, size * 0.012)
    canvas.lay(mask, card, gloss=0.1, height=0.02)


def iodine(rng: np.random.Generator, canvas: Canvas) -> None:
    """The brown stain of povidone iodine around the site."""
    size = canvas.size
    area = step(-0.2, 0.4, fractal(rng, (size, size), size * 0.4, 3)) * canvas.skin
    stain: Rgb = np.array([0.18, 0.62, 1.5], np.float32)
    canvas.albedo = absorb(canvas.albedo, area * np.float32(rng.uniform(0.2, 0.6)), stain)


def cream(rng: np.random.Generator, canvas: Canvas) -> None:
    """Smears of barrier cream."""
    size = canvas.size
    smear = step(0.4, 1.9, fractal(rng, (size, size), size * 0.14, 3)) * canvas.skin * (1 - 0.8 * canvas.lesion)
    white: Rgb = np.array([0.85, 0.84, 0.80], np.float32)
    canvas.albedo = blend(canvas.albedo, white, smear * np.float32(rng.uniform(0.3, 0.75)))
    canvas.gloss += smear * np.float32(0.3)
    canvas.height += 0.02 * smear


def coin(rng: np.random.Generator, canvas: Canvas) -> None:
    """A coin for scale."""
    size = canvas.size
    place = rng.choice((0.14, 0.86), 2) * size
    mask = np.zeros((size, size), np.float32)
    radius = int(size * rng.uniform(0.05, 0.09) * 8)
    cv2.circle(mask, (int(place[0] * 8), int(place[1] * 8)), radius, 1.0, -1, cv2.LINE_AA, 3)
    metal = decode_hex(str(rng.choice(("c9a24b", "b8b8b4", "a8693d"))))
    _shadow(canvas, mask, size * 0.012)
    emboss = noise(rng, (size, size), size * 0.012)
    canvas.lay(
        mask, np.asarray(metal * (0.8 + 0.2 * emboss)[..., None], np.float32), gloss=0.8, height=0.03 + 0.01 * emboss
    )


def grime(rng: np.random.Generator, canvas: Canvas) -> None:
    """Dried crumbs and dirt on the skin."""
    size = canvas.size
    specks = step(1.5, 2.0, noise(rng, (size, size), size * 0.010)) * canvas.skin
    canvas.albedo = absorb(canvas.albedo, specks * np.float32(rng.uniform(0.4, 1.0)), MELANIN)


def _shadow(canvas: Canvas, mask: Field, sigma: float) -> None:
    canvas.albedo *= (1 - 0.5 * np.maximum(soften(mask, sigma) - mask * 0.5, 0))[..., None]


#: Things of an ordinary picture, and how often they are in it.
COMMON: Final[Mapping[str, tuple[Callable[[np.random.Generator, Canvas], None], float]]] = MappingProxyType(
    {
        "pen": (pen, 0.07), "tattoo": (tattoo, 0.02), "cream": (cream, 0.04), "tape": (tape, 0.12),
        "ruler": (ruler, 0.18), "glove": (glove, 0.10),
    }
)  # fmt: skip

#: Things that only the shifted distribution shows, besides the common ones.
UNSEEN: Final[Mapping[str, tuple[Callable[[np.random.Generator, Canvas], None], float]]] = MappingProxyType(
    {"iodine": (iodine, 0.12), "grime": (grime, 0.10), "sticker": (sticker, 0.15), "coin": (coin, 0.10)}
)
