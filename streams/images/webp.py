"""A WebP without metadata, chunk by chunk (RFC 9649)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.images import exif, profiles

_KEPT: Final = frozenset({b"VP8 ", b"VP8L", b"ALPH"})
_ICC, _EXIF, _XMP, _ANIMATION = 0x20, 0x08, 0x04, 0x02


class WebpChunk(NamedTuple):
    """Its kind, where its body starts and where that ends, without the pad."""

    kind: bytes
    body: int
    end: int


def is_animated(data: bytes) -> bool:
    """Whether it is a film: no picture, and its frames may hold chunks of their own."""
    return data[12:16] == b"VP8X" and len(data) > 20 and bool(data[20] & _ANIMATION)


def chunks(data: bytes) -> Iterator[WebpChunk]:
    """Chunks up to the announced end, or to the file's."""
    position, limit = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    while position + 8 <= limit:
        size = int.from_bytes(data[position + 4 : position + 8], "little")
        yield WebpChunk(data[position : position + 4], position + 8, min(position + 8 + size, limit))
        # Chunks are padded to an even length; their size does not count the pad.
        position += 8 + size + size % 2


def exif_block(data: bytes) -> bytes:
    """The EXIF block, or nothing."""
    return next((data[part.body : part.end] for part in chunks(data) if part.kind == b"EXIF"), b"")


def stripped(data: bytes, orientation_block: bytes) -> bytes:
    """The same picture without metadata, with an EXIF block of this content."""
    # In a file that is cut off, an appended chunk would be read as pixels.
    whole = len(data) >= 8 + int.from_bytes(data[4:8], "little")
    block = orientation_block if whole else b""
    profile = next((data[part.body : part.end] for part in chunks(data) if part.kind == b"ICCP"), b"")
    colours = profiles.cleaned(profile)
    kept: list[bytes] = []
    for part in chunks(data):
        body = data[part.body : part.end]
        if part.kind == b"VP8X" and body:
            flags = body[0] & ~(_EXIF | _XMP | _ICC) | (_EXIF if block else 0) | (_ICC if colours else 0)
            kept.append(_chunk(b"VP8X", bytes([flags]) + body[1:10]))
            if colours:
                kept.append(_chunk(b"ICCP", colours))
        elif part.kind in _KEPT:
            kept.append(_chunk(part.kind, body, announced=int.from_bytes(data[part.body - 4 : part.body], "little")))
    if block:
        kept.append(_chunk(b"EXIF", block))
    inside = b"WEBP" + b"".join(kept)
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def carries_metadata(data: bytes, orientation_block: bytes) -> bool:
    """Whether a chunk would not be kept as it is."""
    for part in chunks(data):
        body = data[part.body : part.end]
        if part.kind == b"EXIF" and orientation_block and body.removeprefix(exif.HEADER) == orientation_block:
            continue
        if part.kind == b"ICCP" and profiles.cleaned(body) == body:
            continue
        if part.kind not in _KEPT and (part.kind != b"VP8X" or len(body) > 10):
            return True
    return False


def _chunk(kind: bytes, body: bytes, announced: int | None = None) -> bytes:
    """A chunk, padded; one that is cut off keeps the size it announced."""
    size = len(body) if announced is None else announced
    return kind + struct.pack("<I", size) + body + bytes(len(body) % 2 if size == len(body) else 0)
