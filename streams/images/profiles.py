"""Colour profiles (ICC.1:2022) without what they tell of a device or its owner.

A profile of a camera or screen holds a name, a copyright, a date, identifiers, and whatever its maker added. What a
picture needs of it are numbers: the primaries, the white point and the curves. These are copied into a new profile;
one that works by tables, as printers' do, or that does not read as a profile is dropped.
"""

from __future__ import annotations

import struct
from typing import Final

#: The longest profile that is looked at, and the most entries of a curve.
LONGEST: Final = 1 << 20
_MOST_ENTRIES: Final = 4_096
_SPACES: Final = (b"RGB ", b"GRAY")
_CLASSES: Final = (b"mntr", b"scnr", b"spac")
#: Tags that are kept, in the order in which they are written.
_NUMBERS: Final = (b"wtpt", b"chad", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC")
#: Parameters of a parametric curve, by its kind (ICC.1, table 68).
_PARAMETERS: Final = (1, 3, 4, 5, 7)
_NAME: Final = "colours"


def cleaned(profile: bytes) -> bytes | None:
    """A profile with the same numbers and nothing else; None where that cannot be had. Cleaning twice changes
    nothing."""
    if not 132 <= len(profile) <= LONGEST or profile[36:40] != b"acsp":
        return None
    if profile[16:20] not in _SPACES or profile[20:24] != b"XYZ " or profile[12:16] not in _CLASSES:
        return None
    found = _numbers(profile)
    needed = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC") if profile[16:20] == b"RGB " else (b"kTRC",)
    if not all(name in found for name in (*needed, b"wtpt")):
        return None
    fourth = profile[8] >= 4
    texts = {b"desc": _text(fourth, described=True), b"cprt": _text(fourth, described=False)}
    return _written(profile, texts | {name: found[name] for name in _NUMBERS if name in found})


def _numbers(profile: bytes) -> dict[bytes, bytes]:
    count = min(int.from_bytes(profile[128:132], "big"), 100)
    found: dict[bytes, bytes] = {}
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        name, start, size = struct.unpack_from(">4sII", profile, at)
        value = _value(profile[start : start + size]) if name in _NUMBERS else None
        if value is not None:
            found.setdefault(name, value)
    return found


def _value(element: bytes) -> bytes | None:
    """The element as far as its type says, or None where it is no number, curve or matrix."""
    kind, size = element[:4], 0
    if kind == b"XYZ ":
        size = 20
    elif kind == b"sf32":
        size = 44
    elif kind == b"curv" and len(element) >= 12:
        entries = int.from_bytes(element[8:12], "big")
        size = 12 + 2 * entries if entries <= _MOST_ENTRIES else 0
    elif kind == b"para" and len(element) >= 12:
        function = int.from_bytes(element[8:10], "big")
        size = 12 + 4 * _PARAMETERS[function] if function < len(_PARAMETERS) else 0
    return None if size == 0 or len(element) < size else kind + bytes(4) + element[8:size]


def _text(fourth: bool, *, described: bool) -> bytes:
    if fourth:
        text = _NAME.encode("utf-16-be")
        return b"mluc" + struct.pack(">IIIHHII", 0, 1, 12, 0x656E, 0x5553, len(text), 28) + text
    text = _NAME.encode() + b"\0"
    if not described:
        return b"text" + bytes(4) + text
    return b"desc" + struct.pack(">II", 0, len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)


def _written(profile: bytes, elements: dict[bytes, bytes]) -> bytes:
    table, body = b"", b""
    start = 132 + 12 * len(elements)
    for name, element in elements.items():
        table += struct.pack(">4sII", name, start + len(body), len(element))
        body += element + bytes(-len(element) % 4)
    header = struct.pack(">I4s4s", start + len(body), bytes(4), profile[8:10] + bytes(2)) + profile[12:24]
    # A date must stand there. No platform, device, attributes, maker or digest.
    header += struct.pack(">6H", 2000, 1, 1, 0, 0, 0) + b"acsp" + bytes(24)
    header += profile[64:68] + struct.pack(">3I", 0xF6D6, 0x10000, 0xD32D) + bytes(48)
    return header + struct.pack(">I", len(elements)) + table + body
