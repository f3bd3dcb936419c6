"""Colour of skin from its pigments: reflectance falls exponentially with melanin and haemoglobin (Beer-Lambert).

Everything is linear light, RGB order, until the camera encodes it. The absorption figures are relative to green and
chosen to look right against the tones of the Monk Skin Tone Scale (Google, CC BY 4.0); they are no measurement.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.float32]

#: The ten tones of the Monk scale, sRGB.
MONK: Final[tuple[str, ...]] = (
    "f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420",
)  # fmt: skip

#: Absorption of one unit of pigment in red, green and blue.
MELANIN: Final = np.array([0.55, 0.95, 1.30], dtype=np.float32)
#: Arterial blood leaves red and takes green: erythema.
OXYGENATED: Final = np.array([0.10, 1.00, 0.80], dtype=np.float32)
#: Blood that stands in the tissue takes red as well: maroon and purple.
STAGNANT: Final = np.array([0.62, 1.00, 0.52], dtype=np.float32)
#: Bilirubin of an old bruise and serum of a blister take blue.
BILIRUBIN: Final = np.array([0.06, 0.22, 0.95], dtype=np.float32)

_ENCODE: Final = (np.clip(np.linspace(0, 1, 4096), 0, 1) ** (1 / 2.2) * 255).astype(np.float32)


def decode_hex(text: str) -> Rgb:
    """Return the linear reflectance (3,) of an sRGB colour such as `a07e56`."""
    values = np.array([int(text[i : i + 2], 16) for i in (0, 2, 4)], dtype=np.float32) / 255
    return np.asarray(values**2.2, dtype=np.float32)


def skin_tone(monk: int, warmth: float, flush: float) -> Rgb:
    """Return the linear reflectance (3,) of healthy skin of Monk tone 1–10.

    `warmth` (-1…1) shifts the undertone from pink to olive, `flush` is the blood that is always there (about 0.1–0.4).
    """
    base = decode_hex(MONK[monk - 1])
    # The swatches are colours of a card: skin of the light tones is never that white in a photograph.
    base = base * np.float32(0.90 - 0.02 * max(0, 5 - monk))
    # And the dark ones are never that black: the surface itself returns some light, whatever lies below.
    base = base * 0.9 + np.array([0.030, 0.021, 0.016], dtype=np.float32)
    visible = 1 - 0.06 * (monk - 1)
    pigment = flush * visible * OXYGENATED + 0.06 * warmth * BILIRUBIN
    return np.asarray(base * np.exp(-pigment), dtype=np.float32)


def absorb(albedo: Rgb, amount: NDArray[np.float32], pigment: Rgb) -> Rgb:
    """Return `albedo` (h, w, 3) seen through `amount` (h, w) of `pigment`."""
    return np.asarray(albedo * cv2.exp(-amount[..., None] * pigment), dtype=np.float32)


def blend(below: Rgb, above: Rgb, mask: NDArray[np.float32]) -> Rgb:
    """Return `above` over `below` (h, w, 3), or one colour (3,), where `mask` (h, w) is 1."""
    return np.asarray(below + mask[..., None] * (above - below), dtype=np.float32)


def encode(linear: Rgb) -> NDArray[np.float32]:
    """Return display values 0–255 (float) of linear light, clipped like a sensor."""
    index = np.clip(linear * 4095, 0, 4095).astype(np.int16)
    return _ENCODE[index]


def luminance(rgb: Rgb) -> NDArray[np.float32]:
    """Return Rec. 709 luminance (h, w) of linear RGB."""
    return np.asarray(rgb @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32), dtype=np.float32)
