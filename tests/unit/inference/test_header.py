"""A header tells what a picture is and what it costs, before anything is decoded."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from inference.findings import ImageProblem, ProblemCode
from inference.header import MAX_BYTES, MAX_MEMORY, Header, read_header
from tests.unit.inference.pictures import encoded, large


def small(kind: str, mode: str = "RGB", **options: object) -> bytes:
    return encoded(Image.new(mode, (320, 200), 77 if mode == "L" else None), kind, **options)


def without_pixels(kind: str, width: int, height: int) -> bytes:
    """A picture of that size cut off behind its header."""
    if kind == "PNG":
        head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(head))
    if kind == "WEBP":
        body = b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + bytes(5)
        return b"RIFF" + struct.pack("<I", len(body) + 12) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body
    code, components, sampling = {
        "JPEG": (0xC0, 3, 0x22), "JPEG progressive": (0xC2, 3, 0x22),
        "JPEG progressive 4:4:4": (0xC2, 3, 0x11), "JPEG progressive CMYK": (0xC2, 4, 0x11),
    }[kind]  # fmt: skip
    frame = struct.pack(">BHHB", 8, height, width, components)
    frame += b"".join(bytes((at, sampling if at == 0 else 0x11, 0)) for at in range(components))
    scan = bytes((components,)) + bytes(2 * components + 3)
    return b"\xff\xd8" + b"".join(
        bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body
        for marker, body in ((code, frame), (0xDA, scan))
    )


@pytest.mark.parametrize(
    ("data", "plain"),
    [
        (small("JPEG"), True),
        (small("JPEG", "L"), True),
        (small("JPEG", progressive=True), False),
        (small("JPEG", "CMYK"), False),
        (small("PNG"), False),
        (small("WEBP"), False),
        (small("WEBP", "RGBA", lossless=True), False),
    ],
)
def test_only_a_baseline_jpeg_of_one_scan_is_plain(data: bytes, plain: bool) -> None:
    header = read_header(data)
    assert (header.width, header.height, header.plain) == (320, 200, plain)


def test_a_jpeg_with_garbage_between_its_segments_is_left_to_libjpeg_in_another_process() -> None:
    data = small("JPEG")
    assert data[2:4] == b"\xff\xe0"
    assert not read_header(data[:20] + b"\x00\x01" + data[20:]).plain


def test_a_jpeg_with_two_frames_is_damaged() -> None:
    data = small("JPEG")
    at = data.index(b"\xff\xc0")
    with pytest.raises(ImageProblem, match="truncated"):
        read_header(data[:at] + data[at : at + 19] * 2 + data[at + 19 :])


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("JPEG", 9_000, 7_000),
        ("JPEG progressive", 8_000, 6_000),
        ("JPEG progressive 4:4:4", 7_000, 5_000),
        ("PNG", 5_000, 5_000),
        ("WEBP", 5_000, 5_000),
    ],
)
def test_what_cameras_write_is_affordable(kind: str, width: int, height: int) -> None:
    assert 0 < read_header(without_pixels(kind, width, height)).memory <= MAX_MEMORY


@pytest.mark.parametrize(
    ("kind", "width", "height"),
    [
        ("JPEG", 10_000, 7_000),
        ("JPEG progressive 4:4:4", 8_000, 8_000),
        ("JPEG progressive CMYK", 8_000, 8_000),
        ("PNG", 5_001, 5_000),
        ("WEBP", 5_001, 5_000),
    ],
)
def test_what_costs_too_much_is_refused_by_its_header(kind: str, width: int, height: int) -> None:
    """At 73f85d3 the two progressive ones were decoded, in 371 and 494 MiB each."""
    with pytest.raises(ImageProblem) as caught:
        read_header(without_pixels(kind, width, height))
    assert caught.value.code is ProblemCode.DECOMPRESSION_BOMB


def test_a_file_that_no_store_holds_is_too_large() -> None:
    with pytest.raises(ImageProblem, match="too_large"):
        read_header(b"\xff\xd8\xff" + bytes(MAX_BYTES))


def test_an_exif_block_cannot_ask_for_more_than_it_is() -> None:
    """At 73f85d3 Pillow copied what every one of the tags pointed to: a block of 1 MB became gigabytes."""
    entries = b"".join(struct.pack("<HHII", 0x9000 + at % 4_000, 7, 900_000, 100) for at in range(60_000))
    block = b"II*\x00" + struct.pack("<IH", 8, 60_000) + entries + bytes(200_000)
    data = small("PNG")
    at = 33
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    assert read_header(data[:at] + chunk + data[at:]).orientation == 1


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP"]),
    flips=st.lists(st.tuples(st.integers(0, 700), st.integers(0, 255)), max_size=8),
    end=st.integers(0, 700),
)
def test_a_damaged_header_is_read_or_refused(kind: str, flips: list[tuple[int, int]], end: int) -> None:
    data = bytearray(small(kind))
    for at, value in flips:
        data[at % len(data)] = value
    try:
        header = read_header(bytes(data[: max(end, 20)]))
    except ImageProblem:
        return
    assert isinstance(header, Header)
    assert header.memory <= MAX_MEMORY


def test_an_animation_of_one_frame_is_a_picture() -> None:
    assert read_header(encoded(large(100), "PNG", save_all=True)).kind == "PNG"
