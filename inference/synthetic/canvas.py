"""The scene before the camera sees it: what reflects how, what is raised, what shines, and which pixel is what."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from inference.synthetic.colour import Rgb, blend
from inference.synthetic.fields import Field


@dataclass(slots=True)
class Canvas:
    """A square scene of `size` pixels, painted from the skin outwards.

    `albedo` (s, s, 3) linear reflectance; `height` (s, s) in half picture widths; `gloss` (s, s) specular strength
    0–1. Masks (s, s) 0–1: `skin` (body against background), `lesion` (all that is injured), `bed` (skin that is not
    there any more), `tissue` by name within the bed, `covered` (things in front of the skin).
    """

    size: int
    albedo: Rgb
    height: Field
    gloss: Field
    skin: Field
    lesion: Field
    bed: Field
    covered: Field
    tissue: dict[str, Field] = field(default_factory=dict)

    @classmethod
    def blank(cls, size: int) -> Canvas:
        """Return an empty scene: flat, matt, black."""

        def zero() -> Field:
            return np.zeros((size, size), dtype=np.float32)

        return cls(
            size=size,
            albedo=np.zeros((size, size, 3), dtype=np.float32),
            height=zero(),
            gloss=zero(),
            skin=np.ones((size, size), dtype=np.float32),
            lesion=zero(),
            bed=zero(),
            covered=zero(),
        )

    def lay(self, mask: Field, albedo: Rgb, *, gloss: float = 0.1, height: float | Field = 0.0) -> None:
        """Put a thing in front of everything: it hides what is below where `mask` is 1, and casts no hole."""
        self.albedo = blend(self.albedo, albedo, mask)
        self.gloss += mask * (np.float32(gloss) - self.gloss)
        raised: NDArray[np.float32] = np.asarray(height, dtype=np.float32)
        self.height = np.asarray(self.height * (1 - 0.8 * mask) + mask * raised, dtype=np.float32)
        self.covered = np.maximum(self.covered, mask)
