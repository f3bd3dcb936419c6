"""Compressed batches, inflated within a bound.

A broker bounds what it takes in compressed bytes; 15 kB of zstd can be 500 MB.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import cramjam

#: Of one batch, inflated. A producer's batch holds a megabyte before it is compressed, whatever it is then; this leaves
#: room for unusual ones, and a worker that fetches several partitions stays far below its memory.
MAX_INFLATED_BYTES = 32 * 1024 * 1024
_GZIP, _SNAPPY, _LZ4, _ZSTD = 1, 2, 3, 4
_XERIAL = b"\x82SNAPPY\x00"
_PIECE = 1024 * 1024


def inflated(codec: int, data: bytes) -> tuple[bytes, bool]:
    """The first `MAX_INFLATED_BYTES` and whether that is all; less where something in it is not of this codec."""
    if codec == 0:
        return data, True
    if codec in (_LZ4, _ZSTD):
        return _into_room(cramjam.lz4 if codec == _LZ4 else cramjam.zstd, data)
    pieces: list[bytes] = []
    size = 0
    try:
        for piece in _of_gzip(data) if codec == _GZIP else _of_snappy(data) if codec == _SNAPPY else ():
            pieces.append(piece[: MAX_INFLATED_BYTES - size])
            size += len(piece)
            if size > MAX_INFLATED_BYTES:
                return b"".join(pieces), False
    except (zlib.error, cramjam.DecompressionError, struct.error, OSError, ValueError):
        return b"".join(pieces), False
    return b"".join(pieces), codec in (_GZIP, _SNAPPY)


def _into_room(module: object, data: bytes) -> tuple[bytes, bool]:
    # Most batches are a few times as large inflated; only what does not fit then gets the whole room.
    for size in (min(MAX_INFLATED_BYTES, max(_PIECE, 32 * len(data))), MAX_INFLATED_BYTES):
        room = bytearray(size)
        try:
            taken = module.decompress_into(data, room)  # type: ignore[attr-defined]
        except (cramjam.DecompressionError, OSError):
            continue
        return bytes(memoryview(room)[:taken]), True
    # What there was room for has been written all the same.
    return bytes(room), False


def _of_gzip(data: bytes) -> Iterator[bytes]:
    while data:
        decoder = zlib.decompressobj(wbits=31)
        while not decoder.eof:
            piece = decoder.decompress(data, _PIECE)
            data = decoder.unconsumed_tail
            if not piece and not data and not decoder.eof:
                raise ValueError("cut short")
            yield piece
        data = decoder.unused_data


def _of_snappy(data: bytes) -> Iterator[bytes]:
    if not data.startswith(_XERIAL):
        yield _block(data)
        return
    at = 16
    while at < len(data):
        (length,) = struct.unpack_from(">i", data, at)
        if length < 0:
            raise ValueError("negative length")
        yield _block(data[at + 4 : at + 4 + length])
        at += 4 + length


def _block(data: bytes) -> bytes:
    # A block says how large it is, and so much memory is taken; of 64 bytes snappy can make no more than 21 times that.
    if cramjam.snappy.decompress_raw_len(data) > min(MAX_INFLATED_BYTES, 64 * len(data) + 64):
        raise ValueError("larger than it can be")
    return bytes(cramjam.snappy.decompress_raw(data))
