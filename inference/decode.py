"""From the bytes of any picture a ward may send to upright RGB pixels, or to the reason why not.

Bytes are hostile until proven otherwise: header first, limits next, pixels last. A JPEG is decoded at the smallest
DCT scale that still serves the model, so that a 48-megapixel photograph costs little memory and time. Orientation is
applied and all other EXIF data (place, owner, device) is dropped: nothing but pixels leaves this module.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from inference.findings import ImageProblem, ProblemCode

#: Longest file that is looked at. A 48-megapixel phone JPEG is about 20 MB; a larger body is an upload gone wrong.
MAX_BYTES: Final = 40 * 2**20
#: Most pixels of a JPEG, which is decoded at reduced scale: 64 megapixels cost 3 MB at 1/8. Phones reach 50.
MAX_JPEG_PIXELS: Final = 64_000_000
#: Most pixels of every other format, which must be decoded in full: 25 megapixels cost 100 MB for the moment.
MAX_OTHER_PIXELS: Final = 25_000_000
#: Shortest side that can show a wound. Below, even a clear picture has fewer pixels than the network needs.
MIN_SIDE: Final = 64
#: Scans of a progressive JPEG. Encoders write about ten; thousands are a known way to keep a decoder busy for minutes.
MAX_SCANS: Final = 100
#: Shorter side, in pixels, that a reduced decode must keep: nearly twice what the network and the quality checks
#: see. 240 is a quarter of 960, so that the common 1280×960 is decoded at scale 2/8 instead of 3/8.
WORKING_SIDE: Final = 240
#: What the grey card behind a transparent picture reflects (sRGB): neither dark nor bright to the quality checks.
_BACKDROP: Final = 128

_FORMATS: Final = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
_ORIENTATION: Final = 0x0112


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Upright pixels (h, w, 3) RGB uint8, the shorter side about `WORKING_SIDE` or as sent, and the size as sent."""

    pixels: NDArray[np.uint8]
    width: int
    height: int


def decode(data: bytes) -> Decoded:
    """Return the picture in `data`. Raises `ImageProblem` whose code says what is wrong with it."""
    if not data:
        raise ImageProblem(ProblemCode.EMPTY, "the file has no content")
    if len(data) > MAX_BYTES:
        raise ImageProblem(ProblemCode.TOO_LARGE, f"{len(data)} bytes, at most {MAX_BYTES} are read")
    with warnings.catch_warnings():
        # Pillow warns of bombs and odd EXIF; our own limits decide, and a warning would print metadata.
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return _decode(data, image)
        except UnidentifiedImageError:
            raise ImageProblem(*_unknown(data)) from None
        except Image.DecompressionBombError:
            raise ImageProblem(ProblemCode.DECOMPRESSION_BOMB, "more pixels than any camera has") from None
        except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError, OverflowError) as error:
            # Pillow's plug-ins raise all of these on damaged files.
            raise ImageProblem(ProblemCode.TRUNCATED, f"damaged or incomplete ({type(error).__name__})") from None


def _decode(data: bytes, image: Image.Image) -> Decoded:
    width, height = image.size
    kind = image.format or "?"
    is_jpeg = kind in ("JPEG", "MPO")
    limit = MAX_JPEG_PIXELS if is_jpeg else MAX_OTHER_PIXELS
    if width * height > limit:
        raise ImageProblem(ProblemCode.DECOMPRESSION_BOMB, f"{width}x{height} {kind}, at most {limit} pixels")
    if min(width, height) < MIN_SIDE:
        raise ImageProblem(ProblemCode.TOO_SMALL, f"{width}x{height}, at least {MIN_SIDE} pixels a side are needed")
    if is_jpeg and data.count(b"\xff\xda") > MAX_SCANS:
        raise ImageProblem(ProblemCode.DECOMPRESSION_BOMB, f"more than {MAX_SCANS} JPEG scans")
    if not is_jpeg and getattr(image, "n_frames", 1) > 1:
        # Which of the frames is the wound is not ours to guess. (MPO, a phone's stereo JPEG, has a main picture.)
        raise ImageProblem(ProblemCode.ANIMATED, f"{kind} with several frames")
    orientation = _orientation(image)
    pixels = _jpeg(data, image) if is_jpeg else _other(image)
    pixels = _upright(_shrink(pixels), orientation)
    if orientation >= 5:
        width, height = height, width
    return Decoded(pixels=pixels, width=width, height=height)


def _jpeg(data: bytes, image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "CMYK":
        # Pillow knows the inverted CMYK of print programs; turbojpeg leaves it to its caller.
        image.draft("CMYK", (WORKING_SIDE, WORKING_SIDE))
        return np.asarray(image.convert("RGB"), dtype=np.uint8)
    width, height = image.size
    scale = WORKING_SIDE / min(width, height)
    try:
        # The decoder picks the smallest scale (a multiple of 1/8) that keeps both sides at least this long.
        return np.asarray(
            simplejpeg.decode_jpeg(
                data,
                colorspace="RGB",
                min_width=min(width, int(width * scale)),
                min_height=min(height, int(height * scale)),
                min_factor=1,
            ),
            dtype=np.uint8,
        )
    except ValueError as error:
        raise ImageProblem(ProblemCode.TRUNCATED, "the JPEG data ends early or is damaged") from error


def _other(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        return _deep(np.asarray(image, dtype=np.float32))
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        card = Image.new("RGBA", rgba.size, (_BACKDROP, _BACKDROP, _BACKDROP, 255))
        return np.asarray(Image.alpha_composite(card, rgba).convert("RGB"), dtype=np.uint8)
    return np.asarray(image.convert("RGB"), dtype=np.uint8)


def _deep(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """16-bit or float grey to 8 bit by its full range, never by its content: a dark picture stays dark."""
    if not np.isfinite(values).all():
        raise ImageProblem(ProblemCode.UNSUPPORTED, "pixel values that are no numbers")
    top = 1.0 if float(values.max(initial=0.0)) <= 1.0 else 65535.0
    grey = np.clip(values * np.float32(255 / top), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    scale = WORKING_SIDE / min(width, height)
    if scale > 0.75:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


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


def _unknown(data: bytes) -> tuple[ProblemCode, str]:
    """Tell a format we do not read from something that is no picture at all, and from a picture cut off in its
    header."""
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypavif") or data[:4] in (b"8BPS", b"\x00\x00\x01\x00"):
        return ProblemCode.UNSUPPORTED, "a picture format that is not read here; send JPEG or PNG"
    if data[:3] == b"\xff\xd8\xff" or data[:8] == b"\x89PNG\r\n\x1a\n":
        return ProblemCode.TRUNCATED, "damaged or incomplete header"
    return ProblemCode.NOT_AN_IMAGE, f"{len(data)} bytes that are no picture"


def to_square(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the whole picture squeezed to `side` × `side`: nothing of a wound near the edge is cut off."""
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
