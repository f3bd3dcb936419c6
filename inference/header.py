"""What a picture is and what decoding it costs, read from its header before anything is decoded.

Only here is decided what is decoded at all: the formats that the client stores (JPEG, PNG, WebP), within limits of
size, and within a bound on memory that follows from the header. No library is asked: a general reader follows whatever
a file names, and some of it costs gigabytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from inference.findings import ImageProblem, ProblemCode

#: Longest file that is looked at, and the longest that the image store holds. A 48-megapixel phone JPEG is about 20 MB.
MAX_BYTES: Final = 48 * 2**20
#: Most pixels of a JPEG, which is decoded at reduced scale. Phones reach 50 megapixels.
MAX_JPEG_PIXELS: Final = 64_000_000
#: Most pixels of a PNG or WebP, which must be decoded in full.
MAX_OTHER_PIXELS: Final = 25_000_000
#: Most memory, in bytes, that decoding one picture may take. Enough for 25 megapixels of PNG or WebP, and for what
#: phones write as progressive JPEG (64 megapixels at 4:2:0, 35 at 4:4:4). Larger: a worker no longer fits into the
#: memory that docs/performance.md states for it.
MAX_MEMORY: Final = 208 * 2**20
#: Shortest side that can show a wound. Below, even a clear picture has fewer pixels than the network needs.
MIN_SIDE: Final = 64
#: Scans of a progressive JPEG. Encoders write about ten; thousands are a known way to keep a decoder busy for minutes.
MAX_SCANS: Final = 100
#: A plain JPEG may be so large and still be decoded beside the model: about 0.3 s at most. What is larger takes the way
#: of everything that is not plain.
PLAIN_BYTES, PLAIN_PIXELS = 8 * 2**20, 25_000_000
#: Segments or chunks that are looked at. A camera writes some dozens, an encoder of PNG one per 8 kB.
_MOST_PARTS: Final = 10_000

#: Bytes per pixel, the highest of any mode, measured with `python -m ops.bench.pictures`: PNG through Pillow (4) and
#: the RGB copy made of it (3); WebP through libwebp, which keeps one more copy of a lossless picture while it decodes.
_PNG_BYTES, _WEBP_BYTES = 7, 8
#: A coefficient of a JPEG is a 16-bit number; libjpeg keeps all of them unless the file has one scan only.
_COEFFICIENT: Final = 2

_ORIENTATION, _SHORT = 0x0112, 3
_FOREIGN: Final = (
    (4, b"ftyp"), (0, b"8BPS"), (0, b"\x00\x00\x01\x00"), (0, b"II*\x00"), (0, b"MM\x00*"), (0, b"II+\x00"),
    (0, b"MM\x00+"), (0, b"GIF87a"), (0, b"GIF89a"), (0, b"BM"), (128, b"DICM"), (0, b"\x00\x00\x00\x0cjP  "),
    (0, b"\xff\x4f\xff\x51"), (0, b"\x00\x00\x00\x0cJXL "), (0, b"\xff\x0a"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A picture that may be decoded. `memory`: the bytes that takes beside the file itself and the result.

    `plain`: a baseline JPEG of one scan and of moderate size, which libjpeg decodes row by row in a few megabytes.
    `orientation`: EXIF's 1–8, how the pixels are to be turned.
    """

    kind: str
    width: int
    height: int
    components: int
    plain: bool
    orientation: int
    memory: int


def read_header(data: bytes) -> Header:
    """The header of `data`. Raises `ImageProblem` for what is not decoded, whatever it is."""
    if not data:
        raise ImageProblem(ProblemCode.EMPTY, "the file has no content")
    if len(data) > MAX_BYTES:
        raise ImageProblem(ProblemCode.TOO_LARGE, f"{len(data)} bytes, at most {MAX_BYTES} are read")
    if data.startswith(b"\xff\xd8\xff"):
        header = _jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        header = _png(data)
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        header = _webp(data)
    elif any(data.startswith(signature, at) for at, signature in _FOREIGN):
        raise ImageProblem(ProblemCode.UNSUPPORTED, "a picture format that is not read here; send JPEG, PNG or WebP")
    else:
        raise ImageProblem(ProblemCode.NOT_AN_IMAGE, f"{len(data)} bytes that are no picture")
    if min(header.width, header.height) < MIN_SIDE:
        size = f"{header.width}x{header.height}"
        raise ImageProblem(ProblemCode.TOO_SMALL, f"{size}, at least {MIN_SIDE} pixels a side are needed")
    return header


def _within(kind: str, width: int, height: int, limit: int) -> None:
    if width * height > limit:
        raise ImageProblem(ProblemCode.DECOMPRESSION_BOMB, f"{width}x{height} {kind}, at most {limit} pixels")


def _affordable(kind: str, width: int, height: int, memory: int) -> int:
    if memory > MAX_MEMORY:
        needs, most = memory // 2**20, MAX_MEMORY // 2**20
        raise ImageProblem(
            ProblemCode.DECOMPRESSION_BOMB, f"{width}x{height} {kind} takes {needs} MiB to decode, at most {most}"
        )
    return memory


def _damaged() -> ImageProblem:
    return ImageProblem(ProblemCode.TRUNCATED, "damaged or incomplete header")


def _jpeg(data: bytes) -> Header:
    position, orderly, orientation = 2, True, 1
    frame: tuple[int, bytes] | None = None
    for _ in range(_MOST_PARTS):
        start = data.find(b"\xff", position)
        if start < 0 or start + 4 > len(data):
            break
        orderly = orderly and start == position
        code = data[start + 1]
        if code in (0x00, 0x01, 0xD8, 0xFF) or 0xD0 <= code <= 0xD7:
            # Fill bytes are harmless; the others have no place here, and libjpeg decides about them.
            orderly, position = orderly and code == 0xFF, start + (1 if code == 0xFF else 2)
            continue
        if code == 0xD9:
            break
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4], "big")
        body = data[start + 4 : end]
        if end > len(data) or end < start + 4:
            break
        if 0xC0 <= code <= 0xCF and code not in (0xC4, 0xC8, 0xCC):
            if frame is not None or len(body) < 6 or len(body) < 6 + 3 * body[5]:
                break
            frame = code, body
        elif code == 0xE1 and orientation == 1 and body.startswith(b"Exif\x00\x00"):
            orientation = _orientation(body[6:])
        elif code == 0xDA:
            if frame is None or not body:
                break
            return _jpeg_frame(data, *frame, scanned=body[0], orderly=orderly, orientation=orientation)
        position = end
    raise _damaged()


def _jpeg_frame(data: bytes, code: int, body: bytes, *, scanned: int, orderly: bool, orientation: int) -> Header:
    bits, height, width, components = struct.unpack_from(">BHHB", body)
    if code not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA) or bits != 8 or components not in (1, 3, 4):
        raise ImageProblem(ProblemCode.UNSUPPORTED, "a kind of JPEG that is not read here; send baseline JPEG")
    _within("JPEG", width, height, MAX_JPEG_PIXELS)
    # libjpeg's own rule for keeping the coefficients of the whole picture (jdmarker.c, jdinput.c).
    buffered = code in (0xC2, 0xCA) or scanned < components
    if buffered and data.count(b"\xff\xda") > MAX_SCANS:
        raise ImageProblem(ProblemCode.DECOMPRESSION_BOMB, f"more than {MAX_SCANS} JPEG scans")
    memory = reduced_bytes(width, height)
    if buffered:
        factors = [(byte >> 4, byte & 15) for byte in body[7 : 6 + 3 * components : 3]]
        if not all(1 <= across <= 4 and 1 <= down <= 4 for across, down in factors):
            raise _damaged()
        wide, high = max(across for across, _ in factors), max(down for _, down in factors)
        blocks = -(-width // (8 * wide)) * -(-height // (8 * high)) * sum(across * down for across, down in factors)
        memory += blocks * 64 * _COEFFICIENT
    plain = (
        orderly and not buffered and code in (0xC0, 0xC1) and components != 4
        and len(data) <= PLAIN_BYTES and width * height <= PLAIN_PIXELS
    )  # fmt: skip
    return Header(
        kind="JPEG",
        width=width,
        height=height,
        components=components,
        plain=plain,
        orientation=orientation,
        memory=_affordable("JPEG", width, height, memory),
    )


def reduced_bytes(width: int, height: int, shorter: int = 240) -> int:
    """Bytes of a JPEG decoded to RGB at the smallest scale (in eighths) that keeps the shorter side at `shorter`."""
    eighths = min(8, -(-8 * shorter // max(1, min(width, height))))
    # Four bytes per pixel: CMYK, or RGB and the odd row around it.
    return 4 * -(-width * eighths // 8) * -(-height * eighths // 8)


def _png(data: bytes) -> Header:
    width = height = depth = colour = 0
    orientation = 1
    for kind, body, size in _chunks(data, 8, ">I", after=4):
        if kind == b"IHDR":
            if size != 13 or len(data) < body + 13:
                raise _damaged()
            width, height, depth, colour = struct.unpack_from(">IIBB", data, body)
            _within("PNG", width, height, MAX_OTHER_PIXELS)
        elif not width:
            raise _damaged()
        elif kind == b"acTL" and size >= 4 and int.from_bytes(data[body : body + 4], "big") > 1:
            # Which of the frames is the wound is not ours to guess.
            raise ImageProblem(ProblemCode.ANIMATED, "PNG with several frames")
        elif kind == b"eXIf":
            orientation = _orientation(data[body : body + size])
        elif kind == b"IEND":
            break
    if not width or not height:
        raise _damaged()
    memory = _affordable("PNG", width, height, width * height * _PNG_BYTES)
    return Header(
        kind="PNG",
        width=width,
        height=height,
        components={0: 1, 2: 3, 3: 1, 4: 2}.get(colour, 4) * (2 if depth == 16 else 1),
        plain=False,
        orientation=orientation,
        memory=memory,
    )


def _webp(data: bytes) -> Header:
    width = height = 0
    orientation, components = 1, 3
    for kind, body, size in _chunks(data, 12, "<I", after=0):
        head = data[body : body + 10]
        if kind == b"VP8X" and len(head) == 10:
            if head[0] & 0x02:
                raise ImageProblem(ProblemCode.ANIMATED, "WEBP with several frames")
            width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (4, 7))
        elif kind == b"VP8 " and not width and head[3:6] == b"\x9d\x01\x2a" and len(head) == 10:
            width, height = (value & 0x3FFF for value in struct.unpack_from("<HH", head, 6))
        elif kind == b"VP8L" and not width and head[:1] == b"\x2f" and len(head) >= 5:
            bits = int.from_bytes(head[1:5], "little")
            width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        elif kind == b"EXIF":
            block = data[body : body + size]
            orientation = _orientation(block.removeprefix(b"Exif\x00\x00"))
        if kind in (b"VP8L", b"ALPH"):
            components = 4
    if not width or not height:
        raise _damaged()
    _within("WEBP", width, height, MAX_OTHER_PIXELS)
    return Header(
        kind="WEBP",
        width=width,
        height=height,
        components=components,
        plain=False,
        orientation=orientation,
        memory=_affordable("WEBP", width, height, width * height * _WEBP_BYTES),
    )


def _chunks(data: bytes, position: int, order: str, *, after: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and size of each body; PNG (size first, checksum after) and RIFF (kind first, padded to even)."""
    for _ in range(_MOST_PARTS):
        if position + 8 > len(data):
            return
        first, second = data[position : position + 4], data[position + 4 : position + 8]
        kind, length = (second, first) if after else (first, second)
        size = int(struct.unpack(order, length)[0])
        yield kind, position + 8, size
        position += 8 + size + (after or size % 2)


def _orientation(block: bytes) -> int:
    """The one tag that is used, from the first directory of an EXIF block (EXIF 2.32, tag 0x0112)."""
    order = {b"II*\x00": "<", b"MM\x00*": ">"}.get(block[:4])
    if order is None or len(block) < 10:
        return 1
    start = int(struct.unpack_from(f"{order}I", block, 4)[0])
    if start + 2 > len(block):
        return 1
    count = int(struct.unpack_from(f"{order}H", block, start)[0])
    for entry in range(start + 2, min(start + 2 + 12 * count, len(block) - 11), 12):
        tag, kind, items, value = struct.unpack_from(f"{order}HHIH", block, entry)
        if tag == _ORIENTATION and kind == _SHORT and items == 1:
            return int(value) if 1 <= value <= 8 else 1
    return 1
