"""Kinds of pictures that are no wound photographs, and that nothing is fitted to: only evaluation sees them."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.synthetic.fields import fibres, fractal, noise, outline, step
from inference.synthetic.stock import Family, any_colour, blob, plain, surface


def radiograph(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A grey medical picture that is no photograph: bones as bright bands on black."""
    image = np.full((size, size), 18, np.float32) + 40 * blob(rng, size, (0.6, 1.0), 0.1).clip(0, 1)
    for _ in range(int(rng.integers(2, 7))):
        band = outline(
            rng, size, centre=tuple(rng.uniform(-0.6, 0.6, 2).tolist()), radius=float(rng.uniform(0.2, 0.5)),
            aspect=float(rng.uniform(2, 9)), angle=float(rng.uniform(0, math.pi)), roughness=0.03,
        )  # fmt: skip
        image += 110 * step(-0.1, 0.6, band)
    return np.repeat(np.clip(image + 6 * noise(rng, (size, size), 2), 0, 255)[..., None], 3, axis=2).astype(np.float32)


def flowers(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Petals on leaves."""
    leaves = np.exp(0.4 * fractal(rng, (size, size), size * 0.08))[..., None]
    image = plain(size, np.array([55, 90, 40], np.float32)) * leaves
    for _ in range(int(rng.integers(1, 8))):
        centre = rng.uniform(0, size, 2)
        reach, petals, colour = size * rng.uniform(0.06, 0.25), int(rng.integers(5, 11)), any_colour(rng, 60, 255)
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
    image = plain(size, np.array([165, 190, 215], np.float32))
    x = 0
    while x < size:
        wide, top = int(size * rng.uniform(0.15, 0.4)), int(size * rng.uniform(0.05, 0.5))
        cv2.rectangle(image, (x, top), (x + wide, size), any_colour(rng, 60, 200).tolist(), -1)
        step_px, pane = max(5, int(size * rng.uniform(0.05, 0.1))), any_colour(rng, 20, 120).tolist()
        for row in range(top + 4, size, step_px):
            for column in range(x + 4, x + wide - 3, step_px):
                cv2.rectangle(image, (column, row), (column + step_px // 2, row + step_px // 2), pane, -1)
        x += wide
    return surface(rng, image)


def animal(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """Fur with an eye or two."""
    shape = (size, size)
    fur = fibres(rng, shape, size * 0.010, 7, float(rng.uniform(0, math.pi)))
    patches = step(-0.3, 0.3, fractal(rng, shape, size * 0.35, 3))[..., None]
    coat = (any_colour(rng, 30, 220) * patches + any_colour(rng, 30, 220) * (1 - patches)) * np.exp(0.30 * fur)[
        ..., None
    ]
    for _ in range(int(rng.integers(0, 3))):
        centre = rng.integers(size // 4, 3 * size // 4, 2).tolist()
        cv2.circle(coat, centre, max(2, size // 18), (190, 160, 60), -1, cv2.LINE_AA)
        cv2.circle(coat, centre, max(1, size // 32), (10, 10, 10), -1, cv2.LINE_AA)
    return np.asarray(coat, np.float32)


def crockery(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A cup of coffee, a bowl of soup, a pizza from above: round, warm colours, the nearest thing to a wound on a
    plate."""
    image = plain(size, np.array([140, 95, 60], np.float32) * np.float32(rng.uniform(0.5, 1.6)))
    image *= np.exp(0.10 * fibres(rng, (size, size), size * 0.012, 12, float(rng.uniform(0, math.pi))))[..., None]
    centre = rng.uniform(0.35, 0.65, 2) * size
    reach = size * rng.uniform(0.2, 0.42)
    cv2.circle(image, centre.astype(int).tolist(), int(reach), any_colour(rng, 180, 250).tolist(), -1, cv2.LINE_AA)
    inner = np.array([rng.uniform(60, 200), rng.uniform(30, 110), rng.uniform(10, 60)])
    cv2.circle(image, centre.astype(int).tolist(), int(reach * 0.85), inner.tolist(), -1, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 14))):
        spot = centre + reach * 0.55 * rng.standard_normal(2) * 0.6
        tint = [float(rng.uniform(120, 240)), float(rng.uniform(40, 190)), float(rng.uniform(20, 80))]
        cv2.circle(image, spot.astype(int).tolist(), int(reach * rng.uniform(0.05, 0.2)), tint, -1, cv2.LINE_AA)
    return surface(rng, image)


#: What only evaluation sees.
HELD_OUT: Final[tuple[Family, ...]] = (radiograph, flowers, street, animal, crockery)
