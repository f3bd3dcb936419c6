"""The pictures that cost an inference worker most, each as many times as wanted, all of them different files."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from schemas.events import ImageReference

#: The longest file that an event may refer to.
_LONGEST: Final = 48 * 2**20


def references(folder: Path, kind: str, count: int) -> Iterator[ImageReference]:
    """Write a kind of picture below a store's folder, past the client, so many times. Each file has an end of its own,
    behind the picture: the same content would be fetched and decoded once."""
    data = KINDS[kind]()
    for at in range(count):
        whole = data[: _LONGEST - 4] + at.to_bytes(4, "big")
        digest = hashlib.sha256(whole).hexdigest()
        path = folder / digest
        path.write_bytes(whole)
        yield ImageReference(
            uri=f"file://{path}", sha256=digest, size_bytes=len(whole), media_type="application/octet-stream"
        )


def _drawn(width: int, height: int, mode: str = "RGB") -> Image.Image:
    return Image.radial_gradient("L").convert(mode).resize((width, height), Image.Resampling.NEAREST)


def _saved(image: Image.Image, form: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def _progressive(width: int, height: int, mode: str = "RGB", subsampling: int = 2) -> Callable[[], bytes]:
    return lambda: _saved(_drawn(width, height, mode), "JPEG", progressive=True, subsampling=subsampling)


def _deep_png() -> bytes:
    return _saved(Image.fromarray(np.full((5_000, 5_000), 9_999, np.uint16)), "PNG")


def _dense() -> bytes:
    """Noise: as many bytes of a plain JPEG as are decoded beside the model."""
    noise = np.random.default_rng(1).integers(0, 255, (1_450, 1_450, 3), np.uint8)
    return _saved(Image.fromarray(noise).resize((4_900, 4_900)), "JPEG", quality=92)


KINDS: Final[Mapping[str, Callable[[], bytes]]] = {
    "baseline JPEG 64 MP": lambda: _saved(_drawn(8_000, 8_000), "JPEG"),
    "baseline JPEG 24 MP of noise": _dense,
    "progressive JPEG 48 MP": _progressive(8_000, 6_000),
    "progressive JPEG 64 MP": _progressive(8_000, 8_000),
    "progressive JPEG 35 MP 4:4:4": _progressive(7_000, 5_000, subsampling=0),
    "progressive JPEG 64 MP 4:4:4": _progressive(8_000, 8_000, subsampling=0),
    "progressive JPEG 64 MP CMYK": _progressive(8_000, 8_000, "CMYK", 0),
    "PNG RGBA 25 MP": lambda: _saved(_drawn(5_000, 5_000, "RGBA"), "PNG"),
    "PNG 16 bit 25 MP": _deep_png,
    "PNG strip 25 MP": lambda: _saved(_drawn(64, 390_000), "PNG"),
    "WebP lossless RGBA 25 MP": lambda: _saved(Image.new("RGBA", (5_000, 5_000), (9, 9, 9, 90)), "WEBP", lossless=True),
    "WebP lossy 25 MP": lambda: _saved(_drawn(5_000, 5_000), "WEBP"),
    "no picture, 48 MiB": lambda: b"\xff\xd8\xff" + bytes(_LONGEST),
}
