"""Kinds of pictures that are no wound photographs, and that training may see."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.synthetic.colour import skin_tone
from inference.synthetic.fields import cells, coordinates, fibres, fractal, noise, step
from inference.synthetic.stock import Family, any_colour, blob, plain, ramp, surface, tilt


def document(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A page of print, photographed askew."""
    page = plain(size, np.full(3, rng.uniform(190, 250), np.float32) + rng.uniform(-12, 12, 3).astype(np.float32))
    ink = any_colour(rng, 0, 70)
    line = int(size * rng.uniform(0.03, 0.07))
    for y in range(int(line * rng.uniform(1, 3)), size, line):
        x = int(size * rng.uniform(0.03, 0.2))
        end = size * rng.uniform(0.5, 0.97)
        while x < end:
            word = int(line * rng.uniform(0.5, 2.5))
            if rng.random() < 0.9:
                for stroke in range(x, x + word, max(2, line // 4)):
                    top = y - int(line * rng.uniform(0.2, 0.5))
                    cv2.line(page, (stroke, y), (stroke + int(rng.integers(-1, 3)), top), ink.tolist(), 1, cv2.LINE_AA)
            x += word + line // 2
    return tilt(rng, page * (0.75 + 0.25 * ramp(rng, size))[..., None])


def screen(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A screenshot: panels, buttons, lines of text."""
    image = plain(size, any_colour(rng, 200, 255) if rng.random() < 0.6 else any_colour(rng, 0, 60))
    for _ in range(int(rng.integers(5, 22))):
        start = rng.integers(0, size, 2)
        end = start + rng.integers(6, size // 2, 2)
        cv2.rectangle(image, start.tolist(), end.tolist(), any_colour(rng).tolist(), -1 if rng.random() < 0.6 else 1)
        cv2.line(image, (start + 4).tolist(), (int(end[0]) - 4, int(start[1]) + 4), any_colour(rng).tolist(), 2)
    return image


def room(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Walls, floor, furniture in flat shaded planes."""
    image = plain(size, any_colour(rng, 90, 240))
    horizon = int(size * rng.uniform(0.4, 0.75))
    image[horizon:] = any_colour(rng, 40, 190)
    for _ in range(int(rng.integers(4, 12))):
        corner = np.array([rng.uniform(0, size), rng.uniform(size * 0.2, size)])
        wide, high = rng.uniform(0.06, 0.45, 2) * size
        skew = rng.normal(0, 0.08, 2) * size
        box = np.array([[0, 0], [wide, skew[0]], [wide, high + skew[1]], [0, high]]) + corner
        cv2.fillConvexPoly(image, box.astype(np.int32), any_colour(rng, 20, 240).tolist(), cv2.LINE_AA)
    return surface(rng, image)


def landscape(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Sky, hills, vegetation."""
    height = np.linspace(0, 1, size, dtype=np.float32)[:, None, None]
    sky = np.array([110, 160, 225], np.float32) * (1 - height) + np.array([215, 225, 235], np.float32) * height
    image = np.broadcast_to(sky, (size, size, 3)).copy() + 20 * fractal(rng, (size, size), size * 0.3)[..., None]
    rows = np.arange(size)[:, None]
    for layer in range(int(rng.integers(2, 5))):
        crest = size * (0.35 + 0.16 * layer) + size * 0.1 * noise(rng, (1, size), size * 0.3)
        land = np.array([60, 95, 45], np.float32) + rng.uniform(-35, 45, 3).astype(np.float32)
        leaves = np.exp(0.3 * fractal(rng, (size, size), size * 0.04, 3))[..., None]
        image = np.where((rows > crest)[..., None], land * leaves, image)
    return np.asarray(image, np.float32)


def food(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Plates with red, yellow and brown things on them: the colours of a wound, without skin."""
    image = plain(size, any_colour(rng, 60, 235))
    x, y = coordinates(size)
    plate = step(0.86, 0.84, np.sqrt(x * x + y * y) + 0.0 * x)
    image += plate[..., None] * (any_colour(rng, 190, 250) - image)
    for _ in range(int(rng.integers(4, 16))):
        inside = blob(rng, size, (0.06, 0.4), 0.6)
        hue = np.array([rng.uniform(90, 240), rng.uniform(30, 200), rng.uniform(10, 90)], np.float32)
        shade = np.exp(0.2 * fractal(rng, (size, size), size * 0.05, 3))[..., None]
        image += step(0.0, 0.05, inside)[..., None] * (
            hue * (0.6 + 0.6 * np.clip(inside, 0, 1)[..., None]) * shade - image
        )
    return image


def texture(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Cloth, stone, gravel, weave, tiles."""
    shape = (size, size)
    kind = int(rng.integers(0, 4))
    base, other = any_colour(rng, 20, 220), any_colour(rng, 20, 240)
    if kind == 0:
        x, y = coordinates(size)
        k = float(rng.uniform(20, 90))
        mix = 0.5 + 0.25 * (np.sin(k * x) + np.sin(k * y))
    elif kind == 1:
        distance, tints = cells(rng, shape, size * rng.uniform(0.03, 0.14))
        mix = np.clip(0.5 + 0.4 * tints - 0.4 * distance + 0.3, 0, 1)
    elif kind == 2:
        mix = np.clip(0.5 + 0.4 * fractal(rng, shape, size * rng.uniform(0.03, 0.4), 6, 0.75), 0, 1)
    else:
        tiles = int(rng.integers(3, 12))
        board = np.add.outer(np.arange(size) * tiles // size, np.arange(size) * tiles // size) % 2
        mix = board + 0.05 * noise(rng, shape, 2)
    mixed = np.asarray(mix, np.float32)[..., None]
    return surface(rng, (base * mixed + other * (1 - mixed)).astype(np.float32))


def static(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Noise, bars, gradients: what a broken camera sends."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return (128 + 60 * rng.standard_normal((size, size, 3))).astype(np.float32)
    if kind == 1:
        return (
            any_colour(rng) * ramp(rng, size)[..., None] + any_colour(rng) * (1 - ramp(rng, size)[..., None])
        ).astype(np.float32)
    if kind == 2:
        bars = rng.uniform(0, 255, (int(rng.integers(4, 12)), 3)).astype(np.float32)
        return np.broadcast_to(bars[np.arange(size) * len(bars) // size][None], (size, size, 3)).copy()
    grey = 128 + 70 * fractal(rng, (size, size), size * rng.uniform(0.05, 0.6))
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def shapes(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Coloured objects, logos, toys on some ground."""
    image = plain(size, any_colour(rng))
    for _ in range(int(rng.integers(2, 12))):
        colour = any_colour(rng).tolist()
        centre = rng.integers(0, size, 2).tolist()
        if rng.random() < 0.5:
            cv2.circle(image, centre, int(size * rng.uniform(0.03, 0.3)), colour, -1, cv2.LINE_AA)
        else:
            axes = (int(size * rng.uniform(0.05, 0.4)), int(size * rng.uniform(0.02, 0.2)))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return surface(rng, image)


def wood(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Boards, leather, sand: brown surfaces that are no skin."""
    shape = (size, size)
    grain = fibres(rng, shape, size * rng.uniform(0.006, 0.02), rng.uniform(8, 25), float(rng.uniform(0, math.pi)))
    rings = np.sin(6 * fractal(rng, shape, size * 0.5, 2) + 3 * grain)
    base = np.array([150, 105, 62], np.float32) * np.float32(rng.uniform(0.4, 1.5))
    return np.asarray(base * np.exp(0.16 * rings + 0.14 * grain)[..., None], np.float32)


def portrait(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A face with hair and clothes before a wall: skin in the picture, and still no wound photograph."""
    image = surface(rng, plain(size, any_colour(rng, 40, 235)))
    monk = int(rng.integers(1, 11))
    skin = 255 * np.power(skin_tone(monk, 0.0, 0.25), 1 / 2.2)
    hair, cloth = any_colour(rng, 10, 110), any_colour(rng, 20, 240)
    x, y = int(size * rng.uniform(0.35, 0.65)), int(size * rng.uniform(0.3, 0.5))
    reach = int(size * rng.uniform(0.14, 0.30))
    cv2.ellipse(
        image, (x, y + int(2.6 * reach)), (2 * reach, int(1.5 * reach)), 0, 0, 360, cloth.tolist(), -1, cv2.LINE_AA
    )
    cv2.ellipse(
        image, (x, y - reach // 6), (int(1.12 * reach), int(1.4 * reach)), 0, 0, 360, hair.tolist(), -1, cv2.LINE_AA
    )
    neck = (skin * 0.8).tolist()
    cv2.rectangle(image, (x - reach // 3, y + reach), (x + reach // 3, y + int(1.5 * reach)), neck, -1)
    cv2.ellipse(
        image, (x, y + reach // 8), (int(0.9 * reach), int(1.2 * reach)), 0, 0, 360, skin.tolist(), -1, cv2.LINE_AA
    )
    for side in (-1, 1):
        eye = (x + side * int(0.38 * reach), y - reach // 10)
        cv2.ellipse(image, eye, (reach // 6 + 1, reach // 11 + 1), 0, 0, 360, (235, 235, 230), -1, cv2.LINE_AA)
        cv2.circle(image, eye, max(1, reach // 12), (40, 30, 25), -1, cv2.LINE_AA)
        brow = (eye[0], eye[1] - reach // 5)
        cv2.ellipse(image, brow, (reach // 4 + 1, reach // 20 + 1), 0, 180, 360, hair.tolist(), 2, cv2.LINE_AA)
    lips = (skin * np.array([0.85, 0.5, 0.5])).tolist()
    cv2.ellipse(image, (x, y + int(0.75 * reach)), (reach // 3, max(1, reach // 9)), 0, 0, 360, lips, -1, cv2.LINE_AA)
    shade = np.exp(0.06 * fractal(rng, (size, size), size * 0.12))
    return surface(rng, np.asarray(image * shade[..., None], np.float32))


#: What training may see.
KNOWN: Final[tuple[Family, ...]] = (document, screen, room, landscape, food, texture, static, shapes, wood, portrait)
