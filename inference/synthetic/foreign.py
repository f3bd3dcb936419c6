"""Pictures that are no wound photograph: what people send by mistake, and what a model must decline.

Two sets of families. Training may see the first; the second is held out, so that a rejection rate is measured on
kinds of pictures that nothing was fitted to.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.synthetic.camera import encode_jpeg
from inference.synthetic.colour import skin_tone
from inference.synthetic.fields import Field, cells, coordinates, fibres, fractal, noise, outline, step

Pixels = NDArray[np.uint8]
Family = Callable[[np.random.Generator, int], NDArray[np.float32]]


def _colour(rng: np.random.Generator, low: float = 0, high: float = 255) -> NDArray[np.float32]:
    return rng.uniform(low, high, 3).astype(np.float32)


def _plain(size: int, colour: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.broadcast_to(colour, (size, size, 3)).astype(np.float32).copy()


def _ramp(rng: np.random.Generator, size: int) -> Field:
    x, y = coordinates(size)
    angle = float(rng.uniform(0, 2 * math.pi))
    return np.asarray(0.5 + 0.5 * (x * math.cos(angle) + y * math.sin(angle)), np.float32)


def document(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A page of print, photographed askew."""
    page = _plain(size, np.full(3, rng.uniform(190, 250), np.float32) + rng.uniform(-12, 12, 3).astype(np.float32))
    ink = _colour(rng, 0, 70)
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
    return _tilt(rng, page * (0.75 + 0.25 * _ramp(rng, size))[..., None])


def screen(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A screenshot: panels, buttons, lines of text."""
    image = _plain(size, _colour(rng, 200, 255) if rng.random() < 0.6 else _colour(rng, 0, 60))
    for _ in range(int(rng.integers(5, 22))):
        start = rng.integers(0, size, 2)
        end = start + rng.integers(6, size // 2, 2)
        cv2.rectangle(image, start.tolist(), end.tolist(), _colour(rng).tolist(), -1 if rng.random() < 0.6 else 1)
        cv2.line(image, (start + 4).tolist(), (int(end[0]) - 4, int(start[1]) + 4), _colour(rng).tolist(), 2)
    return image


def room(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Walls, floor, furniture in flat shaded planes."""
    image = _plain(size, _colour(rng, 90, 240))
    horizon = int(size * rng.uniform(0.4, 0.75))
    image[horizon:] = _colour(rng, 40, 190)
    for _ in range(int(rng.integers(4, 12))):
        corner = np.array([rng.uniform(0, size), rng.uniform(size * 0.2, size)])
        wide, high = rng.uniform(0.06, 0.45, 2) * size
        skew = rng.normal(0, 0.08, 2) * size
        box = np.array([[0, 0], [wide, skew[0]], [wide, high + skew[1]], [0, high]]) + corner
        cv2.fillConvexPoly(image, box.astype(np.int32), _colour(rng, 20, 240).tolist(), cv2.LINE_AA)
    return _surface(rng, image)


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
    image = _plain(size, _colour(rng, 60, 235))
    x, y = coordinates(size)
    plate = step(0.86, 0.84, np.sqrt(x * x + y * y) + 0.0 * x)
    image += plate[..., None] * (_colour(rng, 190, 250) - image)
    for _ in range(int(rng.integers(4, 16))):
        inside = _blob(rng, size, (0.06, 0.4), 0.6)
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
    base, other = _colour(rng, 20, 220), _colour(rng, 20, 240)
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
    return _surface(rng, (base * mixed + other * (1 - mixed)).astype(np.float32))


def static(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Noise, bars, gradients: what a broken camera sends."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        return (128 + 60 * rng.standard_normal((size, size, 3))).astype(np.float32)
    if kind == 1:
        return (_colour(rng) * _ramp(rng, size)[..., None] + _colour(rng) * (1 - _ramp(rng, size)[..., None])).astype(
            np.float32
        )
    if kind == 2:
        bars = rng.uniform(0, 255, (int(rng.integers(4, 12)), 3)).astype(np.float32)
        return np.broadcast_to(bars[np.arange(size) * len(bars) // size][None], (size, size, 3)).copy()
    grey = 128 + 70 * fractal(rng, (size, size), size * rng.uniform(0.05, 0.6))
    return np.repeat(grey[..., None], 3, axis=2).astype(np.float32)


def shapes(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Coloured objects, logos, toys on some ground."""
    image = _plain(size, _colour(rng))
    for _ in range(int(rng.integers(2, 12))):
        colour = _colour(rng).tolist()
        centre = rng.integers(0, size, 2).tolist()
        if rng.random() < 0.5:
            cv2.circle(image, centre, int(size * rng.uniform(0.03, 0.3)), colour, -1, cv2.LINE_AA)
        else:
            axes = (int(size * rng.uniform(0.05, 0.4)), int(size * rng.uniform(0.02, 0.2)))
            cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    return _surface(rng, image)


def wood(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Boards, leather, sand: brown surfaces that are no skin."""
    shape = (size, size)
    grain = fibres(rng, shape, size * rng.uniform(0.006, 0.02), rng.uniform(8, 25), float(rng.uniform(0, math.pi)))
    rings = np.sin(6 * fractal(rng, shape, size * 0.5, 2) + 3 * grain)
    base = np.array([150, 105, 62], np.float32) * np.float32(rng.uniform(0.4, 1.5))
    return np.asarray(base * np.exp(0.16 * rings + 0.14 * grain)[..., None], np.float32)


def radiograph(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A grey medical picture that is no photograph: bones as bright bands on black."""
    image = np.full((size, size), 18, np.float32) + 40 * _blob(rng, size, (0.6, 1.0), 0.1).clip(0, 1)
    for _ in range(int(rng.integers(2, 7))):
        band = outline(
            rng, size, centre=tuple(rng.uniform(-0.6, 0.6, 2).tolist()), radius=float(rng.uniform(0.2, 0.5)),
            aspect=float(rng.uniform(2, 9)), angle=float(rng.uniform(0, math.pi)), roughness=0.03,
        )  # fmt: skip
        image += 110 * step(-0.1, 0.6, band)
    return np.repeat(np.clip(image + 6 * noise(rng, (size, size), 2), 0, 255)[..., None], 3, axis=2).astype(np.float32)


def portrait(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A face with hair and clothes before a wall: skin in the picture, and still no wound photograph."""
    image = _surface(rng, _plain(size, _colour(rng, 40, 235)))
    monk = int(rng.integers(1, 11))
    skin = 255 * np.power(skin_tone(monk, 0.0, 0.25), 1 / 2.2)
    hair, cloth = _colour(rng, 10, 110), _colour(rng, 20, 240)
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
    return _surface(rng, np.asarray(image * shade[..., None], np.float32))


def flowers(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Petals on leaves."""
    leaves = np.exp(0.4 * fractal(rng, (size, size), size * 0.08))[..., None]
    image = _plain(size, np.array([55, 90, 40], np.float32)) * leaves
    for _ in range(int(rng.integers(1, 8))):
        centre = rng.uniform(0, size, 2)
        reach, petals, colour = size * rng.uniform(0.06, 0.25), int(rng.integers(5, 11)), _colour(rng, 60, 255)
        for petal in range(petals):
            turn = 2 * math.pi * petal / petals
            place = centre + reach * 0.6 * np.array([math.cos(turn), math.sin(turn)])
            axes = (int(reach * 0.6), max(1, int(reach * 0.25)))
            tint = (colour * rng.uniform(0.8, 1.1)).tolist()
            cv2.ellipse(image, place.astype(int).tolist(), axes, math.degrees(turn), 0, 360, tint, -1, cv2.LINE_AA)
        cv2.circle(image, centre.astype(int).tolist(), max(1, int(reach * 0.25)), (225, 180, 40), -1, cv2.LINE_AA)
    return np.asarray(image, np.float32)


def street(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """House fronts with windows."""
    image = _plain(size, np.array([165, 190, 215], np.float32))
    x = 0
    while x < size:
        wide, top = int(size * rng.uniform(0.15, 0.4)), int(size * rng.uniform(0.05, 0.5))
        cv2.rectangle(image, (x, top), (x + wide, size), _colour(rng, 60, 200).tolist(), -1)
        step_px, pane = max(5, int(size * rng.uniform(0.05, 0.1))), _colour(rng, 20, 120).tolist()
        for row in range(top + 4, size, step_px):
            for column in range(x + 4, x + wide - 3, step_px):
                cv2.rectangle(image, (column, row), (column + step_px // 2, row + step_px // 2), pane, -1)
        x += wide
    return _surface(rng, image)


def animal(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Fur with an eye or two."""
    shape = (size, size)
    fur = fibres(rng, shape, size * 0.010, 7, float(rng.uniform(0, math.pi)))
    patches = step(-0.3, 0.3, fractal(rng, shape, size * 0.35, 3))[..., None]
    coat = (_colour(rng, 30, 220) * patches + _colour(rng, 30, 220) * (1 - patches)) * np.exp(0.30 * fur)[..., None]
    for _ in range(int(rng.integers(0, 3))):
        centre = rng.integers(size // 4, 3 * size // 4, 2).tolist()
        cv2.circle(coat, centre, max(2, size // 18), (190, 160, 60), -1, cv2.LINE_AA)
        cv2.circle(coat, centre, max(1, size // 32), (10, 10, 10), -1, cv2.LINE_AA)
    return np.asarray(coat, np.float32)


def crockery(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A cup of coffee, a bowl of soup, a pizza from above: round, warm colours, the nearest thing to a wound on a
    plate."""
    image = _plain(size, np.array([140, 95, 60], np.float32) * np.float32(rng.uniform(0.5, 1.6)))
    image *= np.exp(0.10 * fibres(rng, (size, size), size * 0.012, 12, float(rng.uniform(0, math.pi))))[..., None]
    centre = rng.uniform(0.35, 0.65, 2) * size
    reach = size * rng.uniform(0.2, 0.42)
    cv2.circle(image, centre.astype(int).tolist(), int(reach), _colour(rng, 180, 250).tolist(), -1, cv2.LINE_AA)
    inner = np.array([rng.uniform(60, 200), rng.uniform(30, 110), rng.uniform(10, 60)])
    cv2.circle(image, centre.astype(int).tolist(), int(reach * 0.85), inner.tolist(), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 14))):
        spot = centre + reach * 0.55 * rng.standard_normal(2) * 0.6
        tint = [float(rng.uniform(120, 240)), float(rng.uniform(40, 190)), float(rng.uniform(20, 80))]
        cv2.circle(image, spot.astype(int).tolist(), int(reach * rng.uniform(0.05, 0.2)), tint, -1, cv2.LINE_AA)
    return _surface(rng, image)


def _blob(rng: np.random.Generator, size: int, radius: tuple[float, float], spread: float) -> Field:
    return outline(
        rng, size, centre=tuple(rng.uniform(-spread, spread, 2).tolist()), radius=float(rng.uniform(*radius)),
        aspect=float(rng.uniform(1, 2.2)), angle=float(rng.uniform(0, math.pi)), roughness=float(rng.uniform(0.0, 0.2)),
    )  # fmt: skip


def _surface(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    size = image.shape[0]
    shade = 0.85 + 0.3 * _ramp(rng, size) + 0.05 * fractal(rng, (size, size), size * 0.2)
    return np.asarray(image * shade[..., None], np.float32)


def _tilt(rng: np.random.Generator, image: NDArray[np.float32]) -> NDArray[np.float32]:
    size = image.shape[0]
    corners = np.array([[0, 0], [size, 0], [size, size], [0, size]], np.float32)
    moved = corners + rng.uniform(-0.12, 0.12, (4, 2)).astype(np.float32) * size
    matrix = cv2.getPerspectiveTransform(corners, moved)
    return np.asarray(cv2.warpPerspective(image, matrix, (size, size), borderMode=cv2.BORDER_REFLECT), np.float32)


#: What training may see.
KNOWN: Final[tuple[Family, ...]] = (document, screen, room, landscape, food, texture, static, shapes, wood, portrait)
#: What only evaluation sees.
HELD_OUT: Final[tuple[Family, ...]] = (radiograph, flowers, street, animal, crockery)


def foreign_picture(seed: int, index: int, *, held_out: bool = False, size: int = 256) -> tuple[str, bytes]:
    """Return the family's name and the JPEG of foreign picture `index` of the series `seed`."""
    families = HELD_OUT if held_out else KNOWN
    rng = np.random.default_rng([seed, index, 7 + int(held_out)])
    family = families[index % len(families)]
    image = family(rng, size)
    # From grey to garish: most of the world is less colourful than a random colour.
    grey = image.mean(axis=2, keepdims=True)
    image = np.asarray(grey + (image - grey) * np.float32(rng.uniform(0.1, 1.1)), np.float32)
    image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 2.0))) * rng.normal(1, 0.08, 3).astype(np.float32)
    image = image + np.float32(rng.gamma(1.5, 2.5)) * rng.standard_normal(image.shape, dtype=np.float32)
    pixels = np.clip(image * np.float32(np.exp(rng.normal(0, 0.2))), 0, 255).astype(np.uint8)
    return family.__name__, encode_jpeg(pixels, int(rng.integers(50, 96)))
