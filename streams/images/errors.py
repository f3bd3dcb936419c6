"""What can be wrong with a picture, each with the code under which dead letters, metrics and audit entries name it.

No text holds an address or a file name: they may have been chosen by someone who put a patient into them.
"""

from __future__ import annotations

from typing import ClassVar

from schemas.errors import OneLineError


class ImageError(OneLineError):
    """This picture cannot be used, today or later; `code` names why."""

    code: ClassVar[str] = "image_error"

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"


class ImageMissingError(ImageError):
    """Nothing is stored at the address."""

    code = "image_missing"


class HashMismatchError(ImageError):
    """The stored bytes are not those that the reference was made from."""

    code = "hash_mismatch"


class OutsideStoreError(ImageError):
    """The address leads out of the configured roots."""

    code = "outside_store"


class ImageTooLargeError(ImageError):
    """More bytes than are ever read into memory."""

    code = "too_large"


class UnsupportedImageError(ImageError):
    """Not a picture format whose metadata we can remove."""

    code = "unsupported_image"


class StoreUnavailableError(OneLineError):
    """The store does not answer or lets us not in: retry; it says nothing about the picture."""

    code: ClassVar[str] = "store_unavailable"

    def __str__(self) -> str:
        return f"{self.code}: {super().__str__()}"
