"""Every kind of bytes that a ward may send gets its answer, and no other."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from inference.decode import LONGEST_SIDE, WORKING_SIDE, decode, to_square
from inference.findings import ImageProblem, ProblemCode
from inference.header import MAX_SCANS, MIN_SIDE


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def quadrants(width: int = 320, height: int = 200, mode: str = "RGB") -> Image.Image:
    """Red top left, green top right, blue bottom left, white bottom right: its orientation can be read off."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (220, 30, 30)
    pixels[: height // 2, width // 2 :] = (30, 200, 30)
    pixels[height // 2 :, : width // 2] = (30, 30, 220)
    pixels[height // 2 :, width // 2 :] = (240, 240, 240)
    return Image.fromarray(pixels).convert(mode)


def corner(pixels: np.ndarray, vertical: float, horizontal: float) -> tuple[int, ...]:
    height, width = pixels.shape[:2]
    return tuple(int(v) for v in pixels[int(vertical * height), int(horizontal * width)])


def close(colour: tuple[int, ...], expected: tuple[int, ...], tolerance: int = 25) -> bool:
    return all(abs(a - b) <= tolerance for a, b in zip(colour, expected, strict=True))


def header_only_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


def problem_of(data: bytes) -> ProblemCode:
    with pytest.raises(ImageProblem) as caught:
        decode(data)
    return caught.value.code


def test_zero_bytes_are_empty() -> None:
    assert problem_of(b"") is ProblemCode.EMPTY


@pytest.mark.parametrize(
    "data", [b"Dear colleague, the picture follows.", b"%PDF-1.7 ...", b"\0" * 500, b"GIF89", b"<svg/>"]
)
def test_text_and_other_files_are_not_an_image(data: bytes) -> None:
    assert problem_of(data) is ProblemCode.NOT_AN_IMAGE


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_a_jpeg_cut_off_is_truncated(share: float) -> None:
    rng = np.random.default_rng(1)
    data = encoded(Image.fromarray(rng.integers(0, 255, (300, 300, 3), np.uint8)), "JPEG")
    assert problem_of(data[: int(len(data) * share)]) is ProblemCode.TRUNCATED


def test_a_png_cut_off_is_truncated() -> None:
    rng = np.random.default_rng(2)
    data = encoded(Image.fromarray(rng.integers(0, 255, (300, 300, 3), np.uint8)), "PNG")
    assert problem_of(data[: len(data) // 2]) is ProblemCode.TRUNCATED


def test_a_png_of_one_pixel_is_too_small() -> None:
    assert problem_of(encoded(Image.new("RGB", (1, 1)), "PNG")) is ProblemCode.TOO_SMALL


def test_a_picture_just_below_the_shortest_side_is_too_small_and_one_at_it_is_read() -> None:
    assert problem_of(encoded(Image.new("RGB", (400, MIN_SIDE - 1)), "PNG")) is ProblemCode.TOO_SMALL
    assert decode(encoded(Image.new("RGB", (400, MIN_SIDE)), "PNG")).height == MIN_SIDE


def test_a_hundred_megapixel_png_is_refused_by_its_header_alone() -> None:
    assert problem_of(header_only_png(10_000, 10_000)) is ProblemCode.DECOMPRESSION_BOMB


def test_an_absurd_png_that_pillow_refuses_itself_is_the_same_bomb() -> None:
    assert problem_of(header_only_png(60_000, 60_000)) is ProblemCode.DECOMPRESSION_BOMB


def test_a_hundred_megapixel_jpeg_is_refused_by_its_header_alone() -> None:
    data = bytearray(encoded(Image.new("RGB", (64, 64)), "JPEG"))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 10_000, 10_001)
    assert problem_of(bytes(data)) is ProblemCode.DECOMPRESSION_BOMB


def test_a_progressive_jpeg_with_endless_scans_is_a_bomb() -> None:
    data = encoded(quadrants(), "JPEG", progressive=True)
    assert problem_of(data + b"\xff\xda" * (MAX_SCANS + 1)) is ProblemCode.DECOMPRESSION_BOMB


def test_an_animation_is_refused_rather_than_guessed_at() -> None:
    frames = [quadrants(), quadrants().transpose(Image.Transpose.ROTATE_180)]
    for kind in ("PNG", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert problem_of(data) is ProblemCode.ANIMATED, kind


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "ICO"])
def test_what_the_client_refuses_is_not_decoded_either(kind: str) -> None:
    assert problem_of(encoded(quadrants(), kind)) is ProblemCode.UNSUPPORTED


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"avif", b"qt  "])
def test_pictures_of_telephones_that_are_not_read_are_named_so(brand: bytes) -> None:
    assert problem_of(b"\0\0\0\x18ftyp" + brand + bytes(40)) is ProblemCode.UNSUPPORTED


def test_a_long_strip_stays_small_for_every_step_behind() -> None:
    """At 73f85d3 its pixels were kept as sent: 12 MB of JPEG, 75 MB of PNG, and 32 of them in one batch."""
    for kind in ("JPEG", "PNG"):
        picture = decode(encoded(Image.new("RGB", (64, 60_000)), kind))
        assert max(picture.pixels.shape) <= LONGEST_SIDE
        assert (picture.width, picture.height) == (64, 60_000)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_formats_of_a_ward_give_the_same_colours(kind: str) -> None:
    picture = decode(encoded(quadrants(), kind))
    assert (picture.width, picture.height) == (320, 200)
    assert close(corner(picture.pixels, 0.25, 0.25), (220, 30, 30))
    assert close(corner(picture.pixels, 0.75, 0.75), (240, 240, 240))


@pytest.mark.parametrize("progressive", [False, True])
def test_cmyk_becomes_rgb(progressive: bool) -> None:
    pixels = decode(encoded(quadrants(mode="CMYK"), "JPEG", progressive=progressive)).pixels
    assert pixels.shape[2] == 3
    assert close(corner(pixels, 0.25, 0.25), (220, 30, 30), 40)


def test_grey_pictures_become_rgb() -> None:
    for kind in ("JPEG", "PNG"):
        pixels = decode(encoded(quadrants(mode="L"), kind)).pixels
        assert pixels.shape[2] == 3
        assert (pixels[..., 0] == pixels[..., 2]).all()


def test_sixteen_bits_keep_their_brightness() -> None:
    ramp = np.full((100, 100), 65535 // 4, np.uint16)
    pixels = decode(encoded(Image.fromarray(ramp), "PNG")).pixels
    assert pixels.dtype == np.uint8
    assert abs(int(pixels[50, 50, 0]) - 64) <= 1


def test_transparent_parts_show_a_grey_card() -> None:
    image = quadrants(mode="RGBA")
    image.putalpha(Image.fromarray(np.repeat(np.array([[255, 0]], np.uint8), 160, axis=1).repeat(200, axis=0)))
    for data in (encoded(image, "PNG"), encoded(image, "WEBP", lossless=True)):
        pixels = decode(data).pixels
        assert close(corner(pixels, 0.25, 0.25), (220, 30, 30))
        assert close(corner(pixels, 0.25, 0.9), (128, 128, 128), 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = quadrants()
    undo = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    stored = upright if undo is None else upright.transpose(undo)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode(encoded(stored, "JPEG", exif=exif, quality=95))
    assert (picture.width, picture.height) == (320, 200)
    assert close(corner(picture.pixels, 0.25, 0.25), (220, 30, 30))
    assert close(corner(picture.pixels, 0.25, 0.75), (30, 200, 30))
    assert close(corner(picture.pixels, 0.75, 0.25), (30, 30, 220))


def test_a_damaged_exif_block_does_not_cost_the_picture() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(quadrants(), "JPEG", exif=exif)
    at = data.index(b"Exif\0\0")
    assert decode(data[: at + 6] + b"\xff" * 12 + data[at + 18 :]).pixels.shape[2] == 3


def test_a_large_jpeg_is_decoded_at_reduced_scale() -> None:
    picture = decode(encoded(quadrants(3200, 2400), "JPEG"))
    assert (picture.width, picture.height) == (3200, 2400)
    assert min(picture.pixels.shape[:2]) < 2 * WORKING_SIDE
    assert min(picture.pixels.shape[:2]) >= WORKING_SIDE


def test_the_square_holds_the_whole_picture() -> None:
    square = to_square(decode(encoded(quadrants(640, 300), "PNG")).pixels, 128)
    assert square.shape == (128, 128, 3)
    for vertical, horizontal in ((0.02, 0.02), (0.02, 0.98), (0.98, 0.02)):
        assert not close(corner(square, vertical, horizontal), (240, 240, 240))


def test_a_problem_tells_no_content_of_the_file() -> None:
    with pytest.raises(ImageProblem) as caught:
        decode(b"CD-2025-001 Maria")
    assert "CD-2025" not in str(caught.value)
    assert "Maria" not in str(caught.value)
