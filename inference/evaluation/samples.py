"""Real photographs that are no wounds, to test rejection: the samples that scikit-image ships, cut into crops.

Nothing in training, in the thresholds or in the generators was made from them. They are an optional test dependency;
without it the evaluation says nothing about photographs.
"""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

#: Crops a picture: the whole, and squares of these shares of its shorter side, at fixed places.
_SHARES: Final = (0.7, 0.45)
_PLACES: Final = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (0.0, 1.0), (1.0, 1.0))
_SUFFIXES: Final = frozenset({".png", ".jpg", ".tif", ".gif"})
#: Pictures of tissue and skin disease are left out: what a wound model should say to a stained section is another
#: question.
_EXCLUDED: Final = frozenset({"ihc", "retina", "microaneurysms", "multipage", "multipage_rgb", "no_time_for_that_tiny"})


def sample_crops() -> list[tuple[str, bytes]]:
    """Return (name of the photograph, JPEG) for each crop; empty where scikit-image is not installed."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        return []
    crops = []
    for path in sorted((Path(spec.origin).parent / "data").iterdir()):
        if path.suffix not in _SUFFIXES or path.stem in _EXCLUDED:
            continue
        with Image.open(path) as image:
            whole = _eight_bit(image)
        for crop in _cut(whole):
            stream = io.BytesIO()
            crop.save(stream, "JPEG", quality=90)
            crops.append((path.stem, stream.getvalue()))
    return crops


def _eight_bit(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        values = np.asarray(image, dtype=np.float32)
        return Image.fromarray((values / max(1.0, float(values.max())) * 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _cut(whole: Image.Image) -> list[Image.Image]:
    crops = [whole] if min(whole.size) >= 96 else []
    for share in _SHARES:
        side = int(min(whole.size) * share)
        if side < 96:
            continue
        for across, down in _PLACES:
            left, top = int(across * (whole.width - side)), int(down * (whole.height - side))
            crops.append(whole.crop((left, top, left + side, top + side)))
    return crops
