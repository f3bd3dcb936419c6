"""The claim-check store: pictures stay out of Kafka, events carry a reference, and what is read is what was written.

A picture is stored under the SHA-256 of its bytes, after its metadata was removed (streams/images/metadata.py): the
reference tells nothing of patient, place or file name, and the same picture is stored once. The hash is that of the
stored bytes.

Reading trusts nothing in an event: the address must lie below a configured root, the file may not be reached through a
symbolic link, no more is read than the reference announces, and size and hash are verified before a byte is handed on.

All calls block; the stages run them in executor threads. A store object may be shared between threads.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from schemas.events import ImageReference
from streams.images import metadata as image_metadata
from streams.images.backends import Backend, LocalFolder, RemoteFolder
from streams.images.errors import (
    HashMismatchError,
    ImageTooLargeError,
    OutsideStoreError,
    UnsupportedImageError,
)
from streams.settings import Settings

#: Largest picture that is stored or read, in bytes. A 200-megapixel phone writes about 40 MB; a camera or tablet on a
#: ward 2–12 MB. Smaller refuses real photographs; larger lets one event take the memory of a worker that holds a
#: micro-batch of them.
MAX_IMAGE_BYTES = 48 * 1024 * 1024

# The part of an address below its root. No `..`, no empty or hidden part, no `?versionId=`, no escapes that two readers
# could read differently; what hospitals' own stores use (dates, UUIDs, key=value folders) passes.
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9_.=+@~-]*"
_NAMED = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*", re.ASCII)
# What `put` writes, with more or fewer folders: such an address tells of nobody, and it goes on to every topic.
_HASHED = re.compile(r"(?:[0-9a-f]{2}/){0,4}[0-9a-f]{64}(?:\.[a-z0-9]{1,5})?", re.ASCII)


class ImageStore:
    """Pictures below one fsspec URL to write to, and any number of roots to read from."""

    def __init__(
        self,
        store_url: str,
        roots: Sequence[str] = (),
        *,
        named_roots: Sequence[str] = (),
        max_bytes: int = MAX_IMAGE_BYTES,
    ) -> None:
        """Open nothing yet; `roots` are fsspec URLs and default to the store itself.

        Below them addresses are made of hashes, as those of `put`; below `named_roots`, which are read too, they have
        names of whoever put them there. Raises ValueError for a URL that names no scheme and path or chains file
        systems (`simplecache::…`).
        """
        self._max_bytes = max_bytes
        self._store = backend_of(store_url)
        hashed = tuple(backend_of(root) for root in roots) or (self._store,)
        self._roots = (
            *((backend_of(root), _NAMED) for root in named_roots),
            *((root, _HASHED) for root in hashed),
        )

    @classmethod
    def from_settings(cls, settings: Settings) -> ImageStore:
        """The store that `VIGIA_IMAGE_STORE`, `VIGIA_IMAGE_ROOTS` and `VIGIA_IMAGE_NAMED_ROOTS` name."""
        return cls(settings.image_store, settings.image_roots, named_roots=settings.image_named_roots)

    def put(self, data: bytes, *, accept_unreadable: bool = False) -> ImageReference:
        """Store a picture without its metadata; storing it again changes nothing and gives the same reference.

        The media type is read from the bytes. Bytes that are no JPEG, PNG or WebP are refused, since nothing can be
        removed from what cannot be read: a HEIC or DICOM file holds place and name. `accept_unreadable`, for a feeder
        beside which nobody stands, stores a note in their place that tells their hash and size, so that a human is
        asked; the bytes stay with the feeder. Raises UnsupportedImageError, ImageTooLargeError, StoreUnavailableError.
        """
        if len(data) > self._max_bytes:
            raise ImageTooLargeError(f"picture of {len(data)} bytes, at most {self._max_bytes} are stored")
        kind = image_metadata.media_type(data)
        if kind != image_metadata.UNKNOWN:
            data = image_metadata.without_metadata(data)
        elif not accept_unreadable or not data:
            raise UnsupportedImageError("not a JPEG, PNG or WebP picture")
        else:
            data = _note(data)
        digest = hashlib.sha256(data).hexdigest()
        relative = f"{digest[:2]}/{digest}{image_metadata.EXTENSIONS[kind]}"
        self._store.write(relative, data)
        return ImageReference(uri=f"{self._store.url}/{relative}", sha256=digest, size_bytes=len(data), media_type=kind)

    def fetch(self, reference: ImageReference) -> bytes:
        """The bytes of a reference, verified.

        Raises OutsideStoreError, ImageMissingError, ImageTooLargeError or HashMismatchError (all ImageError: trying
        again gives the same), or StoreUnavailableError (worth a retry).
        """
        root, relative = self.check(reference)
        # One byte more than announced tells a longer file without reading it.
        data = root.read(relative, limit=reference.size_bytes + 1)
        if len(data) != reference.size_bytes:
            more = "more" if len(data) > reference.size_bytes else f"{len(data)}"
            raise HashMismatchError(f"{more} bytes instead of {reference.size_bytes}")
        if hashlib.sha256(data).hexdigest() != reference.sha256.lower():
            raise HashMismatchError(f"{len(data)} bytes, but not those of the reference")
        return data

    def check(self, reference: ImageReference) -> tuple[Backend, str]:
        """Where a reference leads, without reading it. Raises ImageError for one that is never read."""
        located = self._locate(reference.uri)
        if reference.size_bytes > self._max_bytes:
            raise ImageTooLargeError(f"{reference.size_bytes} bytes announced, at most {self._max_bytes} are read")
        if reference.size_bytes < 1:
            raise HashMismatchError("reference announces an empty picture")
        return located

    def _locate(self, uri: str) -> tuple[Backend, str]:
        below = False
        for root, shape in self._roots:
            relative = root.relative(uri)
            if relative is not None and shape.fullmatch(relative):
                return root, relative
            below = below or relative is not None
        if below:
            raise OutsideStoreError("the picture's address is not made of a hash (VIGIA_IMAGE_NAMED_ROOTS)")
        raise OutsideStoreError("the picture's address is not below a configured root (VIGIA_IMAGE_ROOTS)")


def _note(data: bytes) -> bytes:
    """What is stored for bytes that may hold anything: no byte of them, and the same for the same bytes."""
    return b"unreadable picture of %d bytes, SHA-256 %s\n" % (len(data), hashlib.sha256(data).hexdigest().encode())


def backend_of(url: str) -> Backend:
    """The folder at an fsspec URL. Raises ValueError for a URL that names no scheme and path or chains systems."""
    scheme, separator, path = url.partition("://")
    if not separator or not path.strip("/") or "::" in url or (scheme != "file" and re.search(r"\s", path)):
        raise ValueError(f"not an image store address like file:///data/images or s3://bucket/images: {url}")
    if scheme == "file":
        return LocalFolder(path)
    return RemoteFolder(scheme, path)
