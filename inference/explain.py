"""Where in the picture the evidence for a class lies, and how it is drawn over the picture.

The method is HiResCAM (Draelos and Carin 2020, arXiv:2011.08891). The network's scores are the mean of its last map,
so the map of a class is the HiResCAM of that class: it comes out of the same forward pass. A test compares it with
gradients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.decode import Decoded
from inference.findings import EvidenceRegion

#: Evidence below this share of the strongest cell is not drawn.
_FAINT: Final = 0.2
#: Cells with at least this share of the strongest one make up the region.
_STRONG: Final = 0.55
_JPEG_QUALITY: Final = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatMap:
    """Evidence for the finding's class on a coarse grid over the picture after EXIF orientation.

    `values`: float32 (rows, columns), the score of each cell; their mean is the class's logit. Positive speaks for
    the class.
    """

    values: NDArray[np.float32]

    def normalised(self) -> NDArray[np.float32]:
        """Return the map scaled to 0 (nothing for the class) … 1 (the strongest cell); all 0 where nothing speaks
        for it."""
        positive = np.maximum(self.values, 0)
        top = float(positive.max(initial=0.0))
        return np.asarray(positive / top if top > 0 else positive, dtype=np.float32)


def region(heat: HeatMap) -> EvidenceRegion | None:
    """Return the box around the connected cells with the strongest evidence, or None when nothing speaks for the
    class."""
    strength = heat.normalised()
    strong = (strength >= _STRONG).astype(np.uint8)
    if not strong.any():
        return None
    _, parts = cv2.connectedComponents(strong)
    top = np.unravel_index(int(strength.argmax()), strength.shape)
    rows, columns = np.nonzero(parts == parts[top])
    high, wide = strength.shape
    return EvidenceRegion(
        x=float(columns.min() / wide),
        y=float(rows.min() / high),
        w=float((columns.max() - columns.min() + 1) / wide),
        h=float((rows.max() - rows.min() + 1) / high),
    )


def overlay(picture: Decoded, heat: HeatMap, *, size: int = 384) -> bytes:
    """Return a JPEG (longer side `size` pixels, no metadata) of the picture with `heat` drawn over it."""
    pixels = picture.pixels
    scale = size / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in (pixels.shape[1], pixels.shape[0]))
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
    strength = cv2.resize(heat.normalised(), (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    # Viridis keeps its order in grey and for readers who cannot tell red from green; a red scale would hide on
    # erythema.
    colours = cv2.applyColorMap((strength * 255).astype(np.uint8), cv2.COLORMAP_VIRIDIS)
    share = (0.6 * np.clip((strength - _FAINT) / (1 - _FAINT), 0, 1))[..., None]
    drawn = cv2.cvtColor(small, cv2.COLOR_RGB2BGR) * (1 - share) + colours * share
    _, encoded = cv2.imencode(".jpg", drawn.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(encoded)
