"""Values of records that no dead letter can hold, kept under their hash: a folder of its own in the image store.

They are written as they came, read by nobody but `vigia dead-letters`, and verified when read. Whoever erases a case
erases them too.
"""

from __future__ import annotations

import hashlib

from streams.images.errors import HashMismatchError, ImageMissingError, OutsideStoreError
from streams.images.store import backend_of
from streams.settings import Settings

#: Folder below the image store. Its files end so that no reference to a picture can name one by its hash alone.
FOLDER, SUFFIX = "records", ".record"


class RecordStore:
    """Bytes below one fsspec URL, by their SHA-256. All calls block; an object may be shared between threads."""

    def __init__(self, url: str) -> None:
        """Open nothing yet. Raises ValueError for a URL that names no scheme and path."""
        self._folder = backend_of(url)

    @classmethod
    def from_settings(cls, settings: Settings) -> RecordStore:
        """The one in the image store that `VIGIA_IMAGE_STORE` names."""
        return cls(f"{settings.image_store.rstrip('/')}/{FOLDER}")

    def put(self, data: bytes) -> str:
        """Keep the bytes; the same bytes are kept once. Returns their address. Raises StoreUnavailableError."""
        digest = hashlib.sha256(data).hexdigest()
        relative = f"{digest[:2]}/{digest}{SUFFIX}"
        self._folder.write(relative, data)
        return f"{self._folder.url}/{relative}"

    def get(self, address: str, size: int, sha256: str) -> bytes:
        """The bytes of that hash. Raises ImageError where they are not there, or StoreUnavailableError."""
        data = self._folder.read(self._relative(address, sha256), limit=size + 1)
        if hashlib.sha256(data).hexdigest() != sha256:
            raise HashMismatchError(f"{len(data)} bytes, but not those of the pointer")
        return data

    def holds(self, address: str, sha256: str) -> bool:
        """Whether there is something under that hash. Raises OutsideStoreError, StoreUnavailableError."""
        try:
            self._folder.read(self._relative(address, sha256), limit=1)
        except ImageMissingError:
            return False
        return True

    def remove(self, address: str, sha256: str) -> bool:
        """Delete the bytes of that hash; False where there are none. Raises as `holds` does."""
        try:
            self._folder.remove(self._relative(address, sha256))
        except ImageMissingError:
            return False
        return True

    def _relative(self, address: str, sha256: str) -> str:
        relative = f"{sha256[:2]}/{sha256}{SUFFIX}"
        if self._folder.relative(address) != relative or len(sha256) != 64 or not sha256.isalnum():
            raise OutsideStoreError("the address is not one of the record store (VIGIA_IMAGE_STORE)")
        return relative
