"""No metadata survives, no pixel changes, and the picture stands as it stood."""

import contextlib
import io
import struct
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from streams.images import exif
from streams.images import metadata as image_metadata

SECRET = "ROSA-MUÑOZ-42".encode()
FORMATS = ("JPEG", "PNG", "WEBP")


def pixels(seed: int = 7, width: int = 61, height: int = 40) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def exif_tags(orientation: int = 1, **taken: str) -> Image.Exif:
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    tags[ExifTags.Base.Artist] = SECRET.decode()
    inner = {ExifTags.Base.UserComment: SECRET, ExifTags.Base.MakerNote: SECRET}
    inner |= {getattr(ExifTags.Base, name): value for name, value in taken.items()}
    tags._ifds[ExifTags.IFD.Exif] = inner
    tags._ifds[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitude: (29.0, 54.0, 9.0), ExifTags.GPS.GPSMapDatum: SECRET}
    return tags


def picture(form: str, orientation: int = 1, *, quality: int = 80, **taken: str) -> bytes:
    """A picture full of things that must not be kept."""
    buffer = io.BytesIO()
    tags = exif_tags(orientation, **taken).tobytes()
    if form == "PNG":
        notes = PngImagePlugin.PngInfo()
        notes.add_text("Comment", SECRET.decode("latin-1"))
        notes.add_itxt("XML:com.adobe.xmp", SECRET.decode(), zip=False)
        pixels().save(buffer, form, pnginfo=notes, exif=tags)
    elif form == "WEBP":
        pixels().save(buffer, form, quality=quality, exif=tags, xmp=SECRET)
    else:
        pixels().save(buffer, form, quality=quality, exif=tags, comment=SECRET, xmp=SECRET)
    return buffer.getvalue()


def decoded(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_metadata_goes_and_pixels_and_orientation_stay(form: str, orientation: int) -> None:
    original = picture(form, orientation)
    assert SECRET in original

    stripped = image_metadata.without_metadata(original)

    assert SECRET not in stripped
    assert b"GPS" not in stripped
    np.testing.assert_array_equal(decoded(stripped), decoded(original))
    assert image_metadata.orientation(stripped) == orientation
    with Image.open(io.BytesIO(stripped)) as image:
        kept = dict(image.getexif())
    assert kept == ({} if orientation == 1 else {ExifTags.Base.Orientation: orientation})


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("orientation", [1, 6])
def test_stripping_twice_is_stripping_once(form: str, orientation: int) -> None:
    once = image_metadata.without_metadata(picture(form, orientation))
    assert image_metadata.without_metadata(once) == once


@pytest.mark.parametrize("form", FORMATS)
def test_what_follows_the_end_of_the_picture_is_cut(form: str) -> None:
    original = picture(form)
    film = original + SECRET + picture("JPEG", 3)
    assert image_metadata.without_metadata(film) == image_metadata.without_metadata(original)


def test_pixels_after_the_last_chunk_of_a_png_are_cut() -> None:
    original = picture("PNG")
    hidden = struct.pack(">I", len(SECRET)) + b"IDAT" + SECRET + bytes(4)
    assert image_metadata.without_metadata(original + hidden) == image_metadata.without_metadata(original)


@pytest.mark.parametrize("form", FORMATS)
def test_the_colour_profile_stays(form: str) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    pixels().save(buffer, form, icc_profile=profile)
    with Image.open(io.BytesIO(image_metadata.without_metadata(buffer.getvalue()))) as image:
        assert image.info["icc_profile"] == profile


def test_a_progressive_jpeg_of_several_scans_keeps_its_pixels() -> None:
    buffer = io.BytesIO()
    pixels(width=320, height=200).save(buffer, "JPEG", progressive=True, quality=95, restart_marker_rows=1)
    np.testing.assert_array_equal(
        decoded(image_metadata.without_metadata(buffer.getvalue())), decoded(buffer.getvalue())
    )


def test_a_cmyk_jpeg_keeps_the_marker_that_tells_its_colours() -> None:
    buffer = io.BytesIO()
    pixels().convert("CMYK").save(buffer, "JPEG")
    np.testing.assert_array_equal(
        decoded(image_metadata.without_metadata(buffer.getvalue())), decoded(buffer.getvalue())
    )


@settings(max_examples=200, deadline=None)
@given(form=st.sampled_from(FORMATS), orientation=st.sampled_from([1, 8]), share=st.floats(0, 1))
def test_a_picture_cut_off_anywhere_is_stripped_without_an_error_and_without_a_secret(
    form: str, orientation: int, share: float
) -> None:
    whole = picture(form, orientation)
    part = whole[: max(12, int(len(whole) * share))]
    if image_metadata.media_type(part) == image_metadata.UNKNOWN:
        return
    stripped = image_metadata.without_metadata(part)
    assert SECRET not in stripped
    # Of a picture cut off in its first segment only the start marker is left, which alone makes no picture.
    if image_metadata.media_type(stripped) != image_metadata.UNKNOWN:
        assert image_metadata.without_metadata(stripped) == stripped


@settings(max_examples=300, deadline=None)
@given(
    form=st.sampled_from(FORMATS),
    flips=st.lists(st.tuples(st.integers(12, 3000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_a_damaged_picture_is_stripped_or_refused(form: str, flips: list[tuple[int, int]]) -> None:
    damaged = bytearray(picture(form, 6))
    for position, value in flips:
        damaged[position % len(damaged)] = value
    with contextlib.suppress(ValueError):
        image_metadata.without_metadata(bytes(damaged))
    assert image_metadata.orientation(bytes(damaged)) in range(1, 9)
    image_metadata.capture_time(bytes(damaged))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "application/octet-stream"),
        (b"GIF89a" + bytes(20), "application/octet-stream"),
        (b"%PDF-1.7 Rosa", "application/octet-stream"),
        (b"\x00\x00\x00\x18ftypheic", "application/octet-stream"),
        (b"RIFF\x00\x00\x00\x00WAVE", "application/octet-stream"),
        (picture("JPEG"), "image/jpeg"),
        (picture("PNG"), "image/png"),
        (picture("WEBP"), "image/webp"),
    ],
)
def test_the_media_type_is_read_from_the_bytes(data: bytes, kind: str) -> None:
    assert image_metadata.media_type(data) == kind


def test_a_film_is_no_picture() -> None:
    buffer = io.BytesIO()
    pixels(1).save(buffer, "WEBP", save_all=True, append_images=[pixels(2)], duration=100)
    assert image_metadata.media_type(buffer.getvalue()) == image_metadata.UNKNOWN


@pytest.mark.parametrize("form", FORMATS)
def test_the_capture_time_is_read_in_utc(form: str) -> None:
    data = picture(form, DateTimeOriginal="2025:11:24 09:30:15", OffsetTimeOriginal="-03:00", SubsecTimeOriginal="25")
    assert image_metadata.capture_time(data) == datetime(2025, 11, 24, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.mark.parametrize(
    "taken",
    [
        {},
        {"DateTimeOriginal": "2025:11:24 09:30:15"},
        {"DateTimeOriginal": "0000:00:00 00:00:00", "OffsetTimeOriginal": "-03:00"},
        {"DateTimeOriginal": "2025:11:24 09:30:15", "OffsetTimeOriginal": "   :  "},
    ],
)
def test_a_capture_time_that_is_not_certain_is_not_guessed(taken: dict[str, str]) -> None:
    assert image_metadata.capture_time(picture("JPEG", **taken)) is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_an_orientation_out_of_range_counts_as_upright(order: str) -> None:
    entry = struct.Struct(f"{order}HHIHH")
    endian = b"II*\x00" if order == "<" else b"MM\x00*"

    def jpeg(value: int) -> bytes:
        block = (
            b"Exif\x00\x00" + endian + struct.pack(f"{order}IH", 8, 1) + entry.pack(0x0112, 3, 1, value, 0) + bytes(4)
        )
        return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(block) + 2) + block + b"\xff\xd9"

    assert [image_metadata.orientation(jpeg(value)) for value in (0, 1, 6, 8, 9, 65535)] == [1, 1, 6, 8, 1, 1]


@settings(max_examples=500, deadline=None)
@given(endian=st.sampled_from([b"II*\x00", b"MM\x00*", b"Exif\x00\x00II*\x00"]), rest=st.binary(max_size=80))
def test_exif_made_to_harm_gives_tags_or_none(endian: bytes, rest: bytes) -> None:
    for value in exif.tags(endian + rest).values():
        assert isinstance(value, int | str)
