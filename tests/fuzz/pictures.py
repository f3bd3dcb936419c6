"""Mutated pictures through everything that reads them: header, decoder, decoder process, removal of metadata.

    python -m tests.fuzz.pictures [COUNT] [SEED]     # 100,000 and 0

Prints one JSON object: what became of the pictures, what no documentation allows (`wrong`, with seed and number to
repeat it), seconds and the highest memory of this process in MiB. Exit code 1 where something was wrong.
"""

from __future__ import annotations

import base64
import io
import json
import random
import resource
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import click
import numpy as np
from PIL import Image, ImageCms

from inference.decode import LONGEST_SIDE, Decoded, decode
from inference.decoders.pool import DecoderPool
from inference.findings import ImageProblem, ProblemCode
from inference.header import MAX_MEMORY, read_header
from streams.images import metadata

#: A mutated picture of this size takes milliseconds; one that takes so long hangs.
HANGS_S = 20.0


@dataclass
class Report:
    """What became of the pictures."""

    became: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def run(count: int, seed: int = 0) -> Report:
    """Mutate and read so many pictures; the same seed gives the same pictures."""
    rng, report, originals = random.Random(seed), Report(), list(seeds())
    pool = DecoderPool(1)
    try:
        for number in range(count):
            data = mutated(rng, originals)
            try:
                report.became[_read(data, pool)] += 1
                _strip(data)
            except Exception as error:
                what = f"seed {seed}, picture {number}: {type(error).__name__} {error}"[:300]
                report.wrong.append(f"{what}: {base64.b64encode(data).decode()}")
    finally:
        pool.close()
    return report


def _read(data: bytes, pool: DecoderPool) -> str:
    try:
        header = read_header(data)
        assert header.memory <= MAX_MEMORY
        picture: Decoded = decode(data, header) if header.plain else pool.decode(data, header, HANGS_S).result()
    except ImageProblem as problem:
        if problem.code in (ProblemCode.DECODER_FAILED, ProblemCode.DECODER_TIMEOUT):
            raise
        return problem.code.value
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape[2] == 3
    assert max(picture.pixels.shape) <= LONGEST_SIDE
    return f"decoded here ({header.kind})" if header.plain else f"decoded apart ({header.kind})"


def _strip(data: bytes) -> None:
    if metadata.media_type(data) == metadata.UNKNOWN:
        return
    metadata.capture_time(data)
    metadata.carries_metadata(data)
    once = metadata.without_metadata(data)
    if metadata.media_type(once) != metadata.UNKNOWN:
        assert metadata.without_metadata(once) == once, "stripping twice is not stripping once"


def mutated(rng: random.Random, originals: list[bytes]) -> bytes:
    """One of the originals with one to eight changes: bytes, lengths, parts left out, doubled, moved, or of another."""
    data = bytearray(rng.choice(originals))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        # Headers decide more than pixels.
        reach = len(data) if rng.random() < 0.5 else min(len(data), 700)
        at = rng.randrange(max(1, reach))
        size = rng.choice((1, 2, 4, 12, 64, 300))
        match rng.randrange(7):
            case 0:
                data[at : at + 1] = bytes((rng.randrange(256),))
            case 1:
                data[at : at + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1"))
            case 2:
                del data[at : at + size]
            case 3:
                data[at:at] = data[at : at + size] * rng.randint(1, 4)
            case 4:
                other = rng.choice(originals)
                data[at : at + size] = other[at : at + size]
            case 5:
                data[at : at + size] = rng.randbytes(size)
            case 6:
                del data[max(20, at) :]
    if data.startswith(b"\x89PNG") and rng.random() < 0.7:
        # Or nearly every change would end at a checksum.
        _correct(data)
    return bytes(data)


def _correct(data: bytearray) -> None:
    at = 8
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        if end + 4 > len(data):
            return
        data[end : end + 4] = zlib.crc32(data[at + 4 : end]).to_bytes(4, "big")
        at = end + 4


def seeds() -> Iterator[bytes]:
    """A small picture of every kind that is read, and of some that are not."""
    noise = np.random.default_rng(3).integers(0, 255, (9, 12, 3), np.uint8)
    picture = Image.fromarray(noise).resize((121, 90), Image.Resampling.BICUBIC)
    exif, profile = Image.Exif(), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif[0x0112], exif[0x013B] = 6, "somebody"
    # It holds the time of its making, and the same seed shall give the same pictures.
    profile = profile[:24] + bytes(12) + profile[36:]
    for mode in ("RGB", "L", "CMYK"):
        for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}, {"exif": exif, "icc_profile": profile}):
            yield _saved(picture.convert(mode), "JPEG", **options)
    yield _saved(picture, "JPEG", subsampling=0, quality=98, optimize=True)
    for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"):
        yield _saved(picture.convert("L").convert(mode) if mode == "I;16" else picture.convert(mode), "PNG")
    yield _saved(picture.quantize(16), "PNG", exif=exif, icc_profile=profile, transparency=3, dpi=(72, 72))
    yield _saved(picture, "PNG", save_all=True, append_images=[picture.rotate(90)])
    for options in ({}, {"lossless": True}, {"exif": exif, "icc_profile": profile}):
        for mode in ("RGB", "RGBA"):
            yield _saved(picture.convert(mode), "WEBP", **options)
    for kind in ("GIF", "BMP", "TIFF"):
        yield _saved(picture, kind)


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def main(arguments: list[str]) -> int:
    """Run and report."""
    count = int(arguments[0]) if arguments else 100_000
    seed = int(arguments[1]) if len(arguments) > 1 else 0
    began = time.monotonic()
    report = run(count, seed)
    figures = {
        "pictures": count,
        "became": dict(report.became.most_common()),
        "wrong": report.wrong,
        "seconds": round(time.monotonic() - began),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    click.echo(json.dumps(figures, indent=2))
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
