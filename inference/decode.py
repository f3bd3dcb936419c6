"""From the bytes of any picture a ward may send to upright RGB pixels, or to the reason why not.

Bytes are hostile until proven otherwise: header first, limits next (inference/header.py), pixels last. A JPEG is
decoded at the smallest DCT scale that still serves the model. Orientation is applied and all other metadata (place,
owner, device) is dropped: nothing but pixels leaves this module.

`decode` works in the process that calls it. A stage decodes so only what is `plain`; everything else it hands to
processes of their own (inference/decoders), whose memory and time are bounded.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from inference.findings import ImageProblem, ProblemCode
from inference.header import Header, read_header

#: Shorter side, in pixels, that a reduced decode must keep: nearly twice what the network and the quality checks
#: see. 240 is a quarter of 960, so that the common 1280×960 is decoded at scale 2/8 instead of 3/8.
WORKING_SIDE: Final = 240
#: Longest side that is kept. A strip of 64 × 60,000 pixels shows no wound, and would be 11 MB to every step behind.
LONGEST_SIDE: Final = 1280
#: What the grey card behind a transparent picture reflects (sRGB): neither dark nor bright to the quality checks.
_BACKDROP: Final = 128
#: Rows that are converted at once: the copies that this takes are then small beside the picture.
_ROWS: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Upright pixels (h, w, 3) RGB uint8, the shorter side about `WORKING_SIDE` or as sent, and the size as sent."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


def decode(data: bytes, header: Header | None = None) -> Decoded:
    """Return the picture in `data`, whose header may be known. Raises `ImageProblem` whose code says what is wrong."""
    header = header or read_header(data)
    pixels = _PIXELS[header.kind](data, header)
    pixels = _upright(_shrink(pixels), header.orientation)
    width, height = header.width, header.height
    if header.orientation >= 5:
        width, height = height, width
    return Decoded(pixels=pixels, width=width, height=height)


def _damaged(error: Exception | None = None) -> ImageProblem:
    name = "" if error is None else f" ({type(error).__name__})"
    return ImageProblem(ProblemCode.TRUNCATED, f"damaged or incomplete{name}")


def _jpeg(data: bytes, header: Header) -> NDArray[np.uint8]:
    if header.components == 4:
        return _cmyk(data)
    scale = WORKING_SIDE / min(header.width, header.height)
    try:
        # The decoder picks the smallest scale (a multiple of 1/8) that keeps both sides at least this long.
        return np.asarray(
            simplejpeg.decode_jpeg(
                data,
                colorspace="RGB",
                min_width=min(header.width, int(header.width * scale)),
                min_height=min(header.height, int(header.height * scale)),
                min_factor=1,
            ),
            dtype=np.uint8,
        )
    except ValueError as error:
        raise ImageProblem(ProblemCode.TRUNCATED, "the JPEG data ends early or is damaged") from error


def _cmyk(data: bytes) -> NDArray[np.uint8]:
    # Pillow knows the inverted CMYK of print programs; turbojpeg leaves it to its caller.
    def read(image: Image.Image) -> NDArray[np.uint8]:
        image.draft("CMYK", (WORKING_SIDE, WORKING_SIDE))
        return np.asarray(image.convert("RGB"), dtype=np.uint8)

    return _with_pillow(data, "JPEG", read)


def _png(data: bytes, header: Header) -> NDArray[np.uint8]:
    def read(image: Image.Image) -> NDArray[np.uint8]:
        if image.size != (header.width, header.height):
            raise _damaged()
        image.load()
        if image.mode.startswith("I"):
            return _deep(np.asarray(image))
        return _opaque(header, lambda top, bottom: image.crop((0, top, header.width, bottom)))

    return _with_pillow(data, "PNG", read)


def _webp(data: bytes, header: Header) -> NDArray[np.uint8]:
    # OpenCV hands the picture to libwebp once; Pillow's animation decoder keeps four copies of it.
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _damaged() from error
    if pixels is None or pixels.ndim != 3 or pixels.shape[:2] != (header.height, header.width):
        raise _damaged()
    if pixels.shape[2] == 3:
        cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels)
        return np.asarray(pixels, dtype=np.uint8)
    return _opaque(header, lambda top, bottom: Image.fromarray(cv2.cvtColor(pixels[top:bottom], cv2.COLOR_BGRA2RGBA)))


def _with_pillow(data: bytes, kind: str, read: Callable[[Image.Image], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    with warnings.catch_warnings():
        # Pillow warns of bombs and odd EXIF; our own limits decide, and a warning would print metadata.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=(kind,)) as image:
                return read(image)
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, OverflowError, KeyError) as error:
            # Pillow's plug-ins raise all of these on damaged files.
            raise _damaged(error) from None
        except Image.DecompressionBombError:
            raise ImageProblem(ProblemCode.DECOMPRESSION_BOMB, "more pixels than any camera has") from None


def _opaque(header: Header, strip: Callable[[int, int], Image.Image]) -> NDArray[np.uint8]:
    """The RGB pixels of a picture that is handed over in strips (from row, to row), on a grey card."""
    pixels = np.empty((header.height, header.width, 3), np.uint8)
    for top in range(0, header.height, _ROWS):
        part = strip(top, min(top + _ROWS, header.height))
        if "A" in part.getbands() or "transparency" in part.info:
            part = part.convert("RGBA")
            card = Image.new("RGBA", part.size, (_BACKDROP, _BACKDROP, _BACKDROP, 255))
            part = Image.alpha_composite(card, part)
        pixels[top : top + _ROWS] = np.asarray(part.convert("RGB"))
    return pixels


def _deep(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """16-bit grey to 8 bit by its full range, never by its content: a dark picture stays dark."""
    pixels = np.empty((*values.shape, 3), np.uint8)
    for top in range(0, len(values), _ROWS):
        grey = np.clip(values[top : top + _ROWS].astype(np.float32) * np.float32(255 / 65535), 0, 255)
        pixels[top : top + _ROWS] = grey.astype(np.uint8)[..., None]
    return pixels


_PIXELS: Final = {"JPEG": _jpeg, "PNG": _png, "WEBP": _webp}


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = WORKING_SIDE / min(width, height)
    scale = min(1.0 if scale > 0.75 else scale, LONGEST_SIDE / max(width, height))
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Undo the camera's rotation (EXIF 2.32, tag 0x0112)."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    # After the transposition of 5–8, what remains is a mirror of one axis, both, or none.
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def to_square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the whole picture squeezed to `side` × `side`: nothing of a wound near the edge is cut off."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
