"""Pictures that are cheap to make and dear to decode."""

from __future__ import annotations

import io

import cv2
import numpy as np
from PIL import Image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def large(side: int, mode: str = "RGB") -> Image.Image:
    """A square with some content, of any size in little time."""
    return Image.radial_gradient("L").convert(mode).resize((side, side), Image.Resampling.NEAREST)


def heavy() -> bytes:
    """24 megapixels of transparent PNG: some hundred kilobytes, a second to decode."""
    return encoded(large(4_900, "RGBA"), "PNG", compress_level=1)


def slow() -> bytes:
    """Sixteen bits in four channels: most of a second of processor time."""
    deep = np.full((4_950, 4_950, 4), 9_999, np.uint16)
    return cv2.imencode(".png", deep, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
