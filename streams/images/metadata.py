"""What a picture file carries besides its pixels, and how it is removed without touching them.

Phones write the place, the owner and the device into a photograph. None of it may reach the image store, so a picture
is copied part by part and only what decoding needs is kept. Nothing is decoded or compressed again: the clinician sees
the pixels that the camera wrote.

Kept: pixels, colour (ICC profile, JPEG's Adobe marker, PNG's colour chunks) and orientation, as an EXIF block that
holds this one tag. Removed: every other EXIF tag, GPS, XMP, IPTC, comments, thumbnails, maker notes, unknown parts, and
all that follows the picture's end (phones append films and depth maps there, with metadata of their own).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from streams.images import exif

JPEG, PNG, WEBP, UNKNOWN = "image/jpeg", "image/png", "image/webp", "application/octet-stream"

#: File name extension below the store, so that a browser shows a stored picture.
EXTENSIONS = {JPEG: ".jpg", PNG: ".png", WEBP: ".webp", UNKNOWN: ".bin"}


class _Part(NamedTuple):
    """A JPEG segment or a PNG or WebP chunk: its kind, where it starts, where its body does, and where it ends."""

    kind: bytes
    start: int
    body: int
    end: int


_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# Critical chunks, transparency, and what colour management needs (PNG specification, 3rd edition, section 11.3).
_PNG_KEPT = frozenset(
    [b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"bKGD", b"pHYs"]
)
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP"})
_WEBP_FLAG_EXIF, _WEBP_FLAG_XMP, _WEBP_FLAG_ANIMATION = 0x08, 0x04, 0x02

_JPEG_START, _JPEG_END, _JPEG_SCAN, _JPEG_JFIF = b"\xd8", b"\xd9", b"\xda", b"\xe0"
# Frames and tables, restart interval, scans, line count (T.81, table B.1); application segments are kept by what they
# hold.
_JPEG_KEPT = frozenset(bytes([code]) for code in (*range(0xC0, 0xD0), *range(0xD9, 0xE0)))
# Without Adobe's marker a decoder takes CMYK and RGB data for YCbCr. JFXX, which shares JFIF's marker, is a thumbnail.
_JPEG_KEPT_APPLICATIONS = {_JPEG_JFIF: b"JFIF\x00", b"\xe2": b"ICC_PROFILE\x00", b"\xee": b"Adobe"}
# A marker may be preceded by fill bytes. In a scan FF 00 is a literal byte and FF D0–D7 a restart; all else ends it
# (T.81, B.1.1).
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_JPEG_SCAN_ENDS = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


def media_type(data: bytes) -> str:
    """Media type read from the first bytes; `application/octet-stream` for what is not JPEG, PNG or WebP."""
    if data.startswith(b"\xff\xd8\xff"):
        return JPEG
    if data.startswith(_PNG_SIGNATURE):
        return PNG
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and not _is_animated(data):
        return WEBP
    return UNKNOWN


def _is_animated(webp: bytes) -> bool:
    # A film is no picture, and its frames may hold chunks of their own.
    return webp[12:16] == b"VP8X" and len(webp) > 20 and bool(webp[20] & _WEBP_FLAG_ANIMATION)


def without_metadata(data: bytes) -> bytes:
    """The same picture without metadata (see above); stripping twice changes nothing.

    A picture that is cut off or damaged is copied up to the damage, never past it: what cannot be read may be metadata.
    Raises ValueError for anything that is not JPEG, PNG or WebP.
    """
    kind = media_type(data)
    if kind == JPEG:
        return b"".join(_stripped_jpeg(data))
    if kind == PNG:
        return b"".join(_stripped_png(data))
    if kind == WEBP:
        return _stripped_webp(data)
    raise ValueError("not a JPEG, PNG or WebP picture")


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
        blocks = (data[part.body : part.end] for part in _jpeg_segments(data, scans=False) if part.kind == b"\xe1")
        return next((block for block in blocks if block.startswith(exif.HEADER)), b"")
    if kind == PNG:
        return next((data[part.body : part.end - 4] for part in _png_chunks(data) if part.kind == b"eXIf"), b"")
    if kind == WEBP:
        return next((data[part.body : part.end] for part in _webp_chunks(data) if part.kind == b"EXIF"), b"")
    return b""


def _orientation_block(data: bytes) -> bytes:
    turned = orientation(data)
    return b"" if turned == 1 else exif.orientation_block(turned)


def _jpeg_segments(data: bytes, *, scans: bool = True) -> Iterator[_Part]:
    """Segments behind the start marker, a scan with its entropy-coded data, up to the picture's end or to damage.

    Without `scans` up to the first scan: metadata stands before it, and finding a scan's end reads the whole file.
    """
    position = 2
    while (found := _JPEG_MARKER.match(data, position)) is not None:
        kind, start, body = found[1], found.end() - 2, found.end() + 2
        if kind == _JPEG_END:
            yield _Part(kind, start, found.end(), found.end())
            return
        end = found.end() + int.from_bytes(data[found.end() : body], "big")
        if not body <= end <= len(data):
            return
        if kind == _JPEG_SCAN:
            if not scans:
                return
            following = _JPEG_SCAN_ENDS.search(data, end)
            end = following.start() if following else len(data)
        yield _Part(kind, start, body, end)
        position = end


def _stripped_jpeg(data: bytes) -> Iterator[bytes]:
    yield b"\xff" + _JPEG_START
    block = _orientation_block(data)
    pending = b"\xff\xe1" + struct.pack(">H", len(exif.HEADER + block) + 2) + exif.HEADER + block if block else b""
    for part in _jpeg_segments(data):
        signature = _JPEG_KEPT_APPLICATIONS.get(part.kind)
        if part.kind not in _JPEG_KEPT and not (signature and data.startswith(signature, part.body)):
            continue
        if part.kind != _JPEG_JFIF:
            # JFIF asks for the first place, EXIF takes the next.
            yield pending
            pending = b""
        yield data[part.start : part.end]


def _png_chunks(data: bytes) -> Iterator[_Part]:
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(data):
        kind = data[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if end > len(data) and kind != b"IDAT":
            return
        # A picture that is cut off still shows its upper part.
        yield _Part(kind, position, position + 8, min(end, len(data)))
        if kind == b"IEND":
            return
        position = end


def _stripped_png(data: bytes) -> Iterator[bytes]:
    yield _PNG_SIGNATURE
    block = _orientation_block(data)
    for part in _png_chunks(data):
        if part.kind in _PNG_KEPT:
            yield data[part.start : part.end]
        if part.kind == b"IHDR" and block:
            yield struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))


def _webp_chunks(data: bytes) -> Iterator[_Part]:
    position, limit = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= limit:
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        # Chunks are padded to an even length; their size does not count the pad.
        end = min(position + 8 + size + size % 2, limit)
        yield _Part(data[position : position + 4], position, position + 8, end)
        position = end


def _stripped_webp(data: bytes) -> bytes:
    # In a file that is cut off, an appended chunk would be read as pixels.
    whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    block = _orientation_block(data) if whole else b""
    kept: list[bytes] = []
    for part in _webp_chunks(data):
        if part.kind not in _WEBP_KEPT:
            continue
        chunk = bytearray(data[part.start : part.end])
        if part.kind == b"VP8X" and part.end > part.body:
            flags = chunk[8] & ~(_WEBP_FLAG_EXIF | _WEBP_FLAG_XMP)
            chunk[8] = flags | (_WEBP_FLAG_EXIF if block else 0)
        kept.append(bytes(chunk))
    if block:
        kept.append(b"EXIF" + struct.pack("<I", len(block)) + block)
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(body)) + body
