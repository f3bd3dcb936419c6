"""Pictures that are no wound photograph: what people send by mistake, and what a model must decline.

Two sets of families. Training may see the first; the second is held out, so that a rejection rate is measured on
kinds of pictures that nothing was fitted to.
"""

from __future__ import annotations

import cv2
import numpy as np

from inference.synthetic.camera import encode_jpeg
from inference.synthetic.foreign_held_out import HELD_OUT
from inference.synthetic.foreign_known import KNOWN

__all__ = ["HELD_OUT", "KNOWN", "foreign_picture"]


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
