"""The few EXIF tags we use, read from a block that may be damaged or made to harm.

A general reader follows every offset a file names and warns about each that leads nowhere; here two directories are
read, numbers and texts only, and what does not fit inside the block is not there.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

HEADER = b"Exif\x00\x00"

#: Tag numbers (CIPA DC-008, EXIF 2.32).
ORIENTATION = 0x0112
DATE_TIME_ORIGINAL, SUBSEC_TIME_ORIGINAL, OFFSET_TIME_ORIGINAL = 0x9003, 0x9291, 0x9011

_EXIF_DIRECTORY = 0x8769
_ASCII, _SHORT, _LONG = 2, 3, 4


def tags(block: bytes) -> Mapping[int, int | str]:
    """Tag number → value, of the tags with one SHORT or LONG or an ASCII text; empty for what is no EXIF block."""
    block = block.removeprefix(HEADER)
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(block[:4])
    if order is None or len(block) < 8:
        return {}
    found = dict(_directory(block, order, struct.unpack_from(f"{order}I", block, 4)[0]))
    inner = found.get(_EXIF_DIRECTORY)
    if isinstance(inner, int):
        found |= dict(_directory(block, order, inner))
    return found


def orientation_block(turned: int) -> bytes:
    """A block with the orientation as its only tag."""
    # Little-endian header, one entry in the first directory: type SHORT, one value; no further directory.
    return b"II*\x00" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, _SHORT, 1, turned, 0, 0)


def _directory(block: bytes, order: str, offset: int) -> Iterator[tuple[int, int | str]]:
    if offset + 2 > len(block):
        return
    count = struct.unpack_from(f"{order}H", block, offset)[0]
    for entry in range(offset + 2, min(offset + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, size = struct.unpack_from(f"{order}HHI", block, entry)
        if kind == _SHORT and size == 1:
            yield tag, struct.unpack_from(f"{order}H", block, entry + 8)[0]
        elif kind == _LONG and size == 1:
            yield tag, struct.unpack_from(f"{order}I", block, entry + 8)[0]
        elif kind == _ASCII:
            # Up to four bytes stand in the entry itself, longer texts where it points.
            start = entry + 8 if size <= 4 else struct.unpack_from(f"{order}I", block, entry + 8)[0]
            if start + size <= len(block):
                yield tag, block[start : start + size].rstrip(b"\x00").decode("latin-1")
