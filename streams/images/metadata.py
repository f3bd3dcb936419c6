"""What a picture file carries besides its pixels, and how it is removed without touching them.

Phones write the place, the owner and the device into a photograph. None of it may reach the image store, so a picture
is copied part by part and only what decoding needs is kept. Nothing is decoded or compressed again: the clinician sees
the pixels that the camera wrote.

Kept: pixels, the numbers of the colour profile (streams/images/profiles.py), JPEG's Adobe marker and JFIF's density,
PNG's colour chunks, and orientation, as an EXIF block that holds this one tag. Removed: every other EXIF tag, GPS, XMP,
IPTC, comments, thumbnails, maker notes, unknown parts, what a kept part holds beyond its own size, and all that follows
the picture's end (phones append films and depth maps there, with metadata of their own). Not looked into: the
compressed pixels themselves.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from streams.images import exif, jpeg, png, webp

JPEG, PNG, WEBP, UNKNOWN = "image/jpeg", "image/png", "image/webp", "application/octet-stream"

#: File name extension below the store, so that a browser shows a stored picture.
EXTENSIONS = {JPEG: ".jpg", PNG: ".png", WEBP: ".webp", UNKNOWN: ".bin"}


def media_type(data: bytes) -> str:
    """Media type read from the first bytes; `application/octet-stream` for what is not JPEG, PNG or WebP."""
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(png.SIGNATURE):
        return PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and not webp.is_animated(data):
        return WEBP
    return UNKNOWN


def without_metadata(data: bytes) -> bytes:
    """The same picture without metadata (see above); stripping twice changes nothing.

    A picture that is cut off or damaged is copied up to the damage, never past it: what cannot be read may be metadata.
    Raises ValueError for anything that is not JPEG, PNG or WebP.
    """
    kind = media_type(data)
    block = _orientation_block(data)
    if kind == JPEG:
        return b"".join(jpeg.stripped(data, block))
    if kind == PNG:
        return b"".join(png.stripped(data, block))
    if kind == WEBP:
        return webp.stripped(data, block)
    raise ValueError("not a JPEG, PNG or WebP picture")


def carries_metadata(data: bytes) -> bool:
    """Whether a JPEG, PNG or WebP holds what `without_metadata` would remove, as far as its parts tell: not whether
    something follows its end. Cheap: no pixels are read."""
    kind = media_type(data)
    block = _orientation_block(data)
    if kind == JPEG:
        return jpeg.carries_metadata(data, block)
    if kind == PNG:
        return png.carries_metadata(data, block)
    return kind == WEBP and webp.carries_metadata(data, block)


def orientation(data: bytes) -> int:
    """EXIF orientation 1–8, how to turn the pixels before use; 1 (upright) also when absent or impossible."""
    value = exif.tags(_exif_block(data)).get(exif.ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def capture_time(data: bytes) -> datetime | None:
    """When the camera says it took the picture, in UTC; None where EXIF lacks the time or its offset from UTC.

    A local time without an offset is not guessed: hospitals go through summer time, and tablets through time zones.
    """
    tags = exif.tags(_exif_block(data))
    moment, offset = tags.get(exif.DATE_TIME_ORIGINAL), tags.get(exif.OFFSET_TIME_ORIGINAL)
    fraction = str(tags.get(exif.SUBSEC_TIME_ORIGINAL, "")).strip()
    micros = int(fraction[:6].ljust(6, "0")) if re.fullmatch("[0-9]+", fraction) else 0
    try:
        taken = datetime.strptime(f"{moment}{offset}", "%Y:%m:%d %H:%M:%S%z")
        return taken.replace(microsecond=micros).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _exif_block(data: bytes) -> bytes:
    kind = media_type(data)
    if kind == JPEG:
        return jpeg.exif_block(data)
    if kind == PNG:
        return png.exif_block(data)
    return webp.exif_block(data) if kind == WEBP else b""


def _orientation_block(data: bytes) -> bytes:
    turned = orientation(data)
    return b"" if turned == 1 else exif.orientation_block(turned)
