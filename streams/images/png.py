"""A PNG without metadata, chunk by chunk (PNG specification, third edition)."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from streams.images import profiles

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
#: Critical chunks, transparency, and what colour management needs (section 11.3), with the most bytes each may have.
_KEPT: Final = {
    b"IHDR": 13, b"PLTE": 768, b"IDAT": 2**31, b"IEND": 0, b"tRNS": 256, b"cHRM": 32, b"gAMA": 4, b"sBIT": 4,
    b"sRGB": 1, b"bKGD": 6, b"pHYs": 9,
}  # fmt: skip
#: What a chunk of pixels whose length or checksum is wrong may have swallowed.
_NAMES = re.compile(rb"IDAT|IEND|tEXt|zTXt|iTXt|eXIf|tIME|iCCP|zxIf|sPLT|hIST|acTL|fcTL|fdAT")


class PngChunk(NamedTuple):
    """Its kind, where it starts, where its body does, and where it ends, with its checksum."""

    kind: bytes
    start: int
    body: int
    end: int


def chunks(data: bytes) -> Iterator[PngChunk]:
    """Chunks up to the picture's end or to damage; a chunk of pixels that is cut off is the last one."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        kind = data[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        if end > len(data) and kind != b"IDAT":
            return
        # A picture that is cut off still shows its upper part.
        yield PngChunk(kind, position, position + 8, min(end, len(data)))
        if kind == b"IEND":
            return
        position = end


def exif_block(data: bytes) -> bytes:
    """The EXIF block, or nothing."""
    return next((data[part.body : part.end - 4] for part in chunks(data) if part.kind == b"eXIf"), b"")


def stripped(data: bytes, orientation_block: bytes) -> Iterator[bytes]:
    """The parts of the same picture without metadata, with an EXIF block of this content."""
    yield SIGNATURE
    for part in chunks(data):
        size = part.end - part.body - 4
        if part.kind == b"IDAT":
            whole = _whole_pixels(data, part)
            yield whole
            if len(whole) < part.end - part.start:
                return
        elif part.kind == b"iCCP":
            profile = _profile(data[part.body : part.end - 4])
            if profile is not None:
                yield profile
        elif size <= _KEPT.get(part.kind, -1):
            yield _chunk(part.kind, data[part.body : part.end - 4])
        if part.kind == b"IHDR" and orientation_block:
            yield _chunk(b"eXIf", orientation_block)


def carries_metadata(data: bytes, orientation_block: bytes) -> bool:
    """Whether a chunk would not be kept as it is."""
    for part in chunks(data):
        body = data[part.body : part.end - 4]
        if part.kind == b"eXIf" and orientation_block and body == orientation_block:
            continue
        if part.kind == b"iCCP" and _profile(body) == data[part.start : part.end]:
            continue
        if len(body) > _KEPT.get(part.kind, -1):
            return True
    return False


def _whole_pixels(data: bytes, part: PngChunk) -> bytes:
    """The chunk, or so much of it as is not what follows: a wrong length may swallow any chunk behind it."""
    announced = 12 + int.from_bytes(data[part.start : part.body - 4], "big")
    checked = zlib.crc32(data[part.start + 4 : part.end - 4]).to_bytes(4, "big") == data[part.end - 4 : part.end]
    swallowed = None
    if announced != part.end - part.start or not checked:
        swallowed = _NAMES.search(data, part.body, part.end)
    whole = data[part.start : part.end if swallowed is None else max(part.body, swallowed.start() - 4)]
    # Shorter, it is no chunk.
    return whole if len(whole) >= 12 else b""


def _profile(body: bytes) -> bytes | None:
    """The chunk of a cleaned profile, under no name of its own, uncompressed: other versions of zlib give the same."""
    _, separator, packed = body.partition(b"\0")
    if not separator or packed[:1] != b"\0":
        return None
    unpacker = zlib.decompressobj()
    try:
        profile = profiles.cleaned(unpacker.decompress(packed[1:], profiles.LONGEST))
    except zlib.error:
        return None
    if profile is None or len(profile) > 0xFFFF:
        return None
    block = struct.pack("<BHH", 1, len(profile), 0xFFFF - len(profile)) + profile
    return _chunk(b"iCCP", b"ICC\0\0" + b"\x78\x01" + block + struct.pack(">I", zlib.adler32(profile)))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
