"""A JPEG without metadata, segment by segment (ITU-T T.81)."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.images import exif, profiles

_START, _END, _SCAN = b"\xd8", b"\xd9", b"\xda"
_JFIF, _EXIF, _ICC, _ADOBE = b"\xe0", b"\xe1", b"\xe2", b"\xee"
_ICC_NAME: Final = b"ICC_PROFILE\x00"
_QUANTISATION, _HUFFMAN, _ARITHMETIC, _RESTART, _LINES = b"\xdb", b"\xc4", b"\xcc", b"\xdd", b"\xdc"
# Frames and tables, restart interval, scans, line count (table B.1).
_KEPT: Final = frozenset(bytes([code]) for code in (*range(0xC0, 0xD0), *range(0xD9, 0xE0))) - {b"\xc8"}
# A marker may be preceded by fill bytes. In a scan FF 00 is a literal byte and FF D0–D7 a restart; all else ends it
# (B.1.1).
_MARKER = re.compile(rb"\xff+([^\x00\xff])")
_SCAN_ENDS = re.compile(rb"\xff+[^\x00\xd0-\xd7\xff]")


class JpegSegment(NamedTuple):
    """Its marker, where it starts, where its body does, where that ends, and where what belongs to it does (a scan)."""

    kind: bytes
    start: int
    body: int
    filled: int
    end: int


def segments(data: bytes, *, scans: bool = True) -> Iterator[JpegSegment]:
    """Segments behind the start marker, a scan with its entropy-coded data, up to the picture's end or to damage.

    Without `scans` up to the first scan: metadata stands before it, and finding a scan's end reads the whole file.
    """
    position = 2
    while (found := _MARKER.match(data, position)) is not None:
        kind, start, body = found[1], found.end() - 2, found.end() + 2
        if kind == _END:
            yield JpegSegment(kind, start, found.end(), found.end(), found.end())
            return
        filled = end = found.end() + int.from_bytes(data[found.end() : body], "big")
        if not body <= end <= len(data):
            return
        if kind == _SCAN:
            if not scans:
                return
            following = _SCAN_ENDS.search(data, end)
            end = following.start() if following else len(data)
        yield JpegSegment(kind, start, body, filled, end)
        position = end


def exif_block(data: bytes) -> bytes:
    """The first EXIF block, with its header, or nothing."""
    blocks = (data[part.body : part.end] for part in segments(data, scans=False) if part.kind == _EXIF)
    return next((block for block in blocks if block.startswith(exif.HEADER)), b"")


def stripped(data: bytes, orientation_block: bytes) -> Iterator[bytes]:
    """The parts of the same picture without metadata, with an EXIF block of this content."""
    yield b"\xff" + _START
    # JFIF asks for the first place, EXIF takes the next.
    yield from _jfif(data)
    if orientation_block:
        yield _segment(_EXIF, exif.HEADER + orientation_block)
    profile = profiles.cleaned(_profile(data))
    if profile is not None:
        yield _segment(_ICC, _ICC_NAME + b"\x01\x01" + profile)
    adobe = True
    for part in segments(data):
        body = data[part.body : part.filled]
        if part.kind == _ADOBE and adobe and body.startswith(b"Adobe") and len(body) >= 12:
            # Without it a decoder takes CMYK and RGB data for YCbCr.
            adobe = False
            yield _segment(_ADOBE, body[:12])
        elif part.kind == _SCAN:
            size = 1 + 2 * body[0] + 3 if body else 0
            yield _segment(_SCAN, body[:size])
            yield data[part.filled : part.end]
        elif part.kind == _END:
            yield b"\xff" + _END
        elif part.kind in _KEPT:
            yield _segment(part.kind, body[: _length(part.kind, body)])


def carries_metadata(data: bytes, orientation_block: bytes) -> bool:
    """Whether a segment before the first scan would not be kept as it is."""
    ours = exif.HEADER + orientation_block
    for part in segments(data, scans=False):
        body = data[part.body : part.end]
        if part.kind == _EXIF and orientation_block and body == ours:
            continue
        if part.kind == _JFIF and body.startswith(b"JFIF\x00") and len(body) == 14:
            continue
        if part.kind == _ADOBE and body.startswith(b"Adobe") and len(body) == 12:
            continue
        if part.kind == _ICC and profiles.cleaned(body[14:]) == body[14:]:
            continue
        if part.kind not in _KEPT or _length(part.kind, body) < len(body):
            return True
    return False


def _segment(kind: bytes, body: bytes) -> bytes:
    return b"\xff" + kind + struct.pack(">H", len(body) + 2) + body


def _jfif(data: bytes) -> Iterator[bytes]:
    for part in segments(data, scans=False):
        if part.kind == _JFIF and data.startswith(b"JFIF\x00", part.body) and part.filled - part.body >= 12:
            # Version and density; its own thumbnail, an uncropped preview, is left out.
            yield _segment(_JFIF, data[part.body : part.body + 12] + bytes(2))
            return


def _profile(data: bytes) -> bytes:
    """The ICC profile, which may be spread over several segments in any order."""
    pieces: dict[int, bytes] = {}
    for part in segments(data, scans=False):
        if part.kind == _ICC and data.startswith(_ICC_NAME, part.body) and part.filled - part.body > 14:
            pieces.setdefault(data[part.body + 12], data[part.body + 14 : part.filled])
    return b"".join(pieces[at] for at in sorted(pieces))


def _length(kind: bytes, body: bytes) -> int:
    """How much of a segment's body its own contents account for; what follows that nobody reads."""
    if 0xC0 <= kind[0] <= 0xCF and kind not in (_HUFFMAN, _ARITHMETIC):
        return 6 + 3 * body[5] if len(body) >= 6 else len(body)
    if kind in (_RESTART, _LINES):
        return 2
    if kind == _ARITHMETIC:
        return len(body) // 2 * 2
    if kind not in (_QUANTISATION, _HUFFMAN):
        return len(body)
    at = 0
    while at < len(body):
        table = (128 if body[at] >> 4 else 64) if kind == _QUANTISATION else 16 + sum(body[at + 1 : at + 17])
        size = 1 + table
        if at + size > len(body):
            break
        at += size
    return at
