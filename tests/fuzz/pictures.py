"""Mutated pictures through everything that reads them: header, decoder, decoder process, removal of metadata."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from random import Random

import numpy as np
from PIL import Image, ImageCms

from inference.decode import LONGEST_SIDE, Decoded, decode
from inference.decoders.pool import DecoderPool
from inference.findings import ImageProblem, ProblemCode
from inference.header import MAX_MEMORY, read_header
from streams.images import metadata
from tests.fuzz.mutation import mutated

#: A mutated picture of this size takes milliseconds; one that takes so long hangs.
HANGS_S = 20.0


class Target:
    """One picture at a time."""

    def __init__(self) -> None:
        self._originals = list(seeds())
        self._pool = DecoderPool(1)

    def run(self, rng: Random) -> str:
        """One picture."""
        data = picture(rng, self._originals)
        became = _read(data, self._pool)
        _strip(data)
        return became

    def close(self) -> None:
        """End the process that decodes."""
        self._pool.close()


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


def picture(rng: Random, originals: list[bytes]) -> bytes:
    """One of the originals, mutated."""
    data = mutated(rng, rng.choice(originals), originals)
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
