"""Pictures that take memory, time, or the log (section 2), and more of their kind."""

from __future__ import annotations

import copy
import io
import struct
import zlib
from collections.abc import Callable, Sequence

from PIL import Image

from ops.attacks.attack import Attack, Attacks, Look, Strike
from ops.attacks.field import TOPIC, Field
from ops.bench.worst_pictures import KINDS
from schemas.events import ImageReference

Make = Callable[[], bytes]
#: As many as a worker of the emergency lane takes at once.
_BATCH = 8
#: Bytes by which an attack may make the logs grow.
LOGGED_AT_MOST = 2_000_000
_PNG = b"\x89PNG\r\n\x1a\n"


def _published(field: Field, references: Sequence[ImageReference]) -> None:
    cases = [field.case(image=reference) for reference in references]
    values = [(case, field.serde.encode(case, TOPIC)) for case in cases]
    for case, value in values:
        field.send_case(case, value)


def several(make: Make, count: int = 1, suffix: str = "jpg") -> Strike:
    """Cases with so many copies of a picture, each with a tail of its own: one content would be decoded once."""

    def strike(field: Field) -> None:
        field.notes["logged"] = field.target.logged()
        data = make()
        _published(field, [field.picture(data + bytes(at % 251 + 1 for _ in range(4)), suffix) for at in range(count)])

    return strike


def _one_file_many_times(field: Field) -> None:
    reference = field.picture(KINDS["no picture, 48 MiB"]()[: 48 * 2**20])
    _published(field, [reference] * 32)


def quiet(field: Field) -> str:
    """The logs have not grown as a library likes."""
    grown = field.target.logged() - field.notes["logged"]
    return "" if grown < LOGGED_AT_MOST else f"the logs grew by {grown / 1e6:.0f} MB"


def _addresses(field: Field) -> None:
    good = field.case().image
    folder = good.uri.rsplit("/", 1)[0]
    for uri in (
        "file:///etc/passwd",
        f"{folder}/../../../../../../../../etc/passwd",
        f"{folder}/%2e%2e/%2e%2e/etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        "s3://another-bucket/" + "0" * 64,
        "file:///dev/zero",
        "simplecache::file:///etc/passwd",
        f"{folder}/{'x' * 255}/{'y' * 255}",
    ):
        # Some are refused by our own class already: another client need not.
        image = copy.copy(good)
        object.__setattr__(image, "uri", uri)
        _published(field, [image])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, chunks: bytes = b"") -> bytes:
    """A grey PNG of zeroes, with these chunks in front of its pixels."""
    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return _PNG + head + chunks + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def _zeroes(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(2**20)) for _ in range(megabytes)) + packer.flush()


def _png_text() -> bytes:
    return _png(400, 400, _chunk(b"zTXt", b"a\0\0" + _zeroes(600)))


def _png_profile() -> bytes:
    return _png(400, 400, _chunk(b"iCCP", b"a\0\0" + _zeroes(600)))


def _tiff(entries: Sequence[tuple[int, int, int, int]], more: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", len(entries)) + body + struct.pack("<I", 0) + more


def _tiff_directories(count: int = 40_000) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (64, 64), 99).save(stream, "TIFF")
    data = bytearray(stream.getvalue())
    at = struct.unpack_from("<I", data, 4)[0]
    entries = struct.unpack_from("<H", data, at)[0]
    directory, following = bytes(data[at : at + 2 + 12 * entries]), at + 2 + 12 * entries
    for _ in range(count):
        struct.pack_into("<I", data, following, len(data) + len(data) % 2)
        data += bytes(len(data) % 2) + directory + bytes(4)
        following = len(data) - 4
    return bytes(data)


def _tiff_tags() -> bytes:
    needed = [(256, 3, 1, 64), (257, 3, 1, 64), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    return _tiff([*needed, *((tag, 3, 1, 1) for tag in range(5_000, 65_000))])


def _tiff_fax() -> bytes:
    """Random bytes as a fax of 64 × 390,000: libtiff complains of every line."""
    noise = bytes((at * 7_919 + 13) % 251 for at in range(2_000))
    entries = [
        (256, 3, 1, 64),
        (257, 4, 1, 390_000),
        (258, 3, 1, 1),
        (259, 3, 1, 3),
        (262, 3, 1, 0),
        (273, 4, 1, 8 + 2 + 9 * 12 + 4),
        (277, 3, 1, 1),
        (278, 4, 1, 390_000),
        (279, 4, 1, len(noise)),
    ]
    return _tiff(entries, noise)


def _gif(frames: int = 1_000_000) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 64, 64, 0x80, 0, 0) + bytes(3) + b"\xff" * 3
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * frames + b";"


def _bmp() -> bytes:
    """Run-length encoded: 20,000 × 20,000 pixels in 40 bytes."""
    pixels = b"\xff\x01\0\0" * 4 + b"\0\1"
    size = 54 + 1024 + len(pixels)
    info = struct.pack("<IiiHHIIiiII", 40, 20_000, 20_000, 1, 8, 1, len(pixels), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 54 + 1024) + info + bytes(1024) + pixels


def _jpeg(width: int, height: int, **options: object) -> bytes:
    stream = io.BytesIO()
    image = Image.radial_gradient("L").convert("RGB").resize((width, height), Image.Resampling.NEAREST)
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


def _jpeg_scans(width: int, height: int, count: int) -> Make:
    """A progressive JPEG whose last scan comes so many times."""

    def make() -> bytes:
        data = _jpeg(width, height, progressive=True)
        scan = data[data.rfind(b"\xff\xda") : -2]
        return data[:-2] + scan * count + b"\xff\xd9"

    return make


def _jpeg_markers() -> bytes:
    """Five million starts of a scan that hold nothing."""
    data = _jpeg(400, 400)
    return data[:-2] + b"\xff\xda\x00\x02" * 5_000_000 + b"\xff\xd9"


def _jpeg_exif_loop() -> bytes:
    """Directories of EXIF that lead to themselves, a thousand times."""
    entries = [(0x8769, 4, 1, 8)] * 1_000 + [(0x0112, 3, 1, 8)]
    exif = b"Exif\0\0" + _tiff(entries)[:-4] + struct.pack("<I", 8)
    data = _jpeg(400, 400)
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def _jpeg_thumbnails() -> bytes:
    """Thirty segments of 64 kB of one profile, that say they are a million."""
    profile = b"ICC_PROFILE\0" + b"\x01\xff" + bytes(65_000)
    data = _jpeg(400, 400)
    return data[:2] + (b"\xff\xe2" + struct.pack(">H", len(profile) + 2) + profile) * 255 + data[2:]


def _webp_animation() -> bytes:
    """Ten thousand frames of 4,000 × 4,000 pixels."""
    stream = io.BytesIO()
    Image.new("RGB", (4_000, 4_000), (90, 9, 9)).save(stream, "WEBP", lossless=True)
    still = stream.getvalue()[12:]
    frame = struct.pack("<I", 0)[:3] * 2 + struct.pack("<I", 3_999)[:3] * 2 + struct.pack("<I", 10)[:3] + b"\0" + still
    frame = b"ANMF" + struct.pack("<I", len(frame)) + frame + bytes(len(frame) % 2)
    head = b"VP8X" + struct.pack("<II", 10, 2) + struct.pack("<I", 3_999)[:3] * 2
    body = b"WEBP" + head + b"ANIM" + struct.pack("<IIH", 6, 0, 0) + frame * 10_000
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _png_animation() -> bytes:
    """A PNG of fifty thousand parts, each of which says that it is animated."""
    return _png(400, 400, _chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)) * 50_000)


def _pictures(origin: str, make: Make, count: int = 1, suffix: str = "jpg", after: Look = quiet) -> Attack:
    return Attack(origin, several(make, count, suffix), after)


PICTURES: Attacks = {
    "8 PNGs with transparency, 25 MP": _pictures("2 A3", KINDS["PNG RGBA 25 MP"], _BATCH, "png"),
    "8 progressive JPEGs, 48 MP": _pictures("2 A3", KINDS["progressive JPEG 48 MP"], _BATCH),
    "8 WebPs with transparency, 25 MP": _pictures("2 A3", KINDS["WebP lossless RGBA 25 MP"], _BATCH, "webp"),
    "a progressive JPEG in CMYK, 64 MP": _pictures("2 A3", KINDS["progressive JPEG 64 MP CMYK"]),
    "32 references to one file of 48 MiB": Attack("2 A3", _one_file_many_times),
    "a TIFF of 40,000 directories": _pictures("2 D1", _tiff_directories, suffix="tif"),
    "a GIF of a million frames": _pictures("2 D1", _gif, suffix="gif"),
    "3 faxes of which libtiff complains": _pictures("2 D2", _tiff_fax, 3, "tif"),
    "a PNG of 900 MP": _pictures("2, held", lambda: _png(30_000, 30_000), suffix="png"),
    "a PNG with a text of 600 MB": _pictures("2, held", _png_text, suffix="png"),
    "a PNG with a profile of 600 MB": _pictures("2, held", _png_profile, suffix="png"),
    "a BMP of 400 MP in a kilobyte": _pictures("2, held", _bmp, suffix="bmp"),
    "a TIFF of 60,000 tags": _pictures("2, held", _tiff_tags, suffix="tif"),
    "a JPEG of 5,000,000 scans that hold nothing": _pictures("2, held", _jpeg_markers),
    "a JPEG of 100 scans, 64 MP": _pictures("2, held", _jpeg_scans(8_000, 8_000, 90)),
    "8 addresses outside the store": Attack("2, held", _addresses),
    "a JPEG of 10,000 scans": _pictures("own", _jpeg_scans(800, 600, 10_000)),
    "a JPEG whose EXIF leads to itself": _pictures("own", _jpeg_exif_loop),
    "a JPEG with 16 MB of profiles": _pictures("own", _jpeg_thumbnails),
    "8 WebPs of 10,000 frames": _pictures("own", _webp_animation, _BATCH, "webp"),
    "a PNG that is animated 50,000 times": _pictures("own", _png_animation, suffix="png"),
}
