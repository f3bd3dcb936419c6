"""Where pictures lie: a local folder, opened so that no link leads out, or what fsspec speaks (S3 and others).

Both answer in the store's own terms: ImageMissingError for a picture that is not there, StoreUnavailableError for a
store that is not. A root that is missing is the store's fault (a volume not mounted, a bucket not made), not the
picture's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import fsspec

from streams.images.errors import ImageMissingError, OutsideStoreError, StoreUnavailableError

#: One request to S3, seconds: a stage retries on its own, and an emergency waits at most 5 s for the store (safety), so
#: the client library's patience (5 tries of 20 s) is switched off. Shorter fails healthy stores that are merely far
#: away.
S3_CONNECT_TIMEOUT_S, S3_READ_TIMEOUT_S = 1.5, 3.0


class Backend(Protocol):
    """A folder of pictures. Addresses relative to it have no empty, `.` or `..` parts: the store has checked them.

    `copies`: how many times a file is in memory while it is read.
    """

    copies: int

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""

    def relative(self, uri: str) -> str | None:
        """The part of an address below this folder, or None for an address elsewhere."""

    def write(self, relative: str, data: bytes) -> None:
        """Write all or nothing, durably; what is there already is left alone or replaced by the same."""

    def read(self, relative: str, *, limit: int) -> bytes:
        """At most `limit` bytes from the start."""

    def remove(self, relative: str) -> None:
        """Delete the file. Raises ImageMissingError where there is none."""


class LocalFolder:
    """A folder on this machine. Its own path may hold links (that is configuration); nothing below it may."""

    copies = 1

    def __init__(self, path: str) -> None:
        self._root = os.path.abspath(path)

    @property
    def url(self) -> str:
        """`file://` and the absolute path, escaped as RFC 8089 asks."""
        return f"file://{quote(self._root)}"

    def relative(self, uri: str) -> str | None:
        """See Backend."""
        return _below(self.url, uri)

    def write(self, relative: str, data: bytes) -> None:
        """See Backend: a temporary file beside it, synced, renamed. Readable by owner and group only."""
        target = Path(self._root, relative)
        try:
            if target.exists() and target.stat().st_size == len(data):
                return
            target.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=".incoming-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fchmod(file.fileno(), 0o640)
                    os.fsync(file.fileno())
                os.replace(temporary, target)
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
                raise
            self._sync(target.parent)
        except OSError as error:
            raise StoreUnavailableError(f"cannot write below the image store: {error.strerror}") from None

    def read(self, relative: str, *, limit: int) -> bytes:
        """See Backend. Each part is opened from its parent, following no link, so nothing can be swapped in between."""
        with self._folder_of(relative) as (folder, name):
            # Non-blocking, or a named pipe would hold the thread for ever.
            descriptor = _open_at(folder, name, os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OutsideStoreError("not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(limit)
        except OSError as error:
            raise StoreUnavailableError(f"the picture cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def remove(self, relative: str) -> None:
        """See Backend; in the way of `read`."""
        with self._folder_of(relative) as (folder, name):
            try:
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
            except FileNotFoundError:
                raise ImageMissingError("nothing is stored at the picture's address") from None
            except OSError as error:
                raise StoreUnavailableError(f"cannot delete below the image store: {error.strerror}") from None

    @contextlib.contextmanager
    def _folder_of(self, relative: str) -> Iterator[tuple[int, str]]:
        """The folder that holds the file, open, and the file's name in it."""
        *folders, name = relative.split("/")
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise StoreUnavailableError(f"the image root cannot be opened: {error.strerror}") from None
        try:
            for part in folders:
                parent, folder = folder, _open_at(folder, part, os.O_DIRECTORY)
                os.close(parent)
            yield folder, name
        finally:
            os.close(folder)

    @staticmethod
    def _sync(folder: Path) -> None:
        # Without this the file's name, though not its bytes, may be gone after a power cut.
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class RemoteFolder:
    """A prefix of a file system that fsspec knows by `scheme`.

    Endpoint and credentials come from that system's own environment (for S3 `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID`, …
    or a role), never from an event.
    """

    #: The parts of an answer as they came, and all of it.
    copies = 2

    def __init__(self, scheme: str, path: str) -> None:
        self._scheme = scheme
        self._path = path.strip("/")
        self._lock = threading.Lock()
        self._opened: Any = None

    @property
    def url(self) -> str:
        """Scheme, bucket and prefix."""
        return f"{self._scheme}://{self._path}"

    def relative(self, uri: str) -> str | None:
        """See Backend."""
        return _below(self.url, uri)

    def write(self, relative: str, data: bytes) -> None:
        """See Backend: object stores put whole objects or none."""
        try:
            self._system().pipe_file(f"{self._path}/{relative}", data)
        except StoreUnavailableError:
            raise
        except Exception as error:
            raise _unavailable(error) from None

    def read(self, relative: str, *, limit: int) -> bytes:
        """See Backend: one ranged request."""
        try:
            data: bytes = self._system().cat_file(f"{self._path}/{relative}", start=0, end=limit)
        except StoreUnavailableError:
            raise
        except FileNotFoundError as error:
            if _s3_code(error) == "NoSuchBucket":
                raise _unavailable(error) from None
            raise ImageMissingError("nothing is stored at the picture's address") from None
        except Exception as error:
            # No byte can be had of an empty object: S3 calls that a wrong range.
            if _s3_code(error) in ("InvalidRange", "416"):
                return b""
            raise _unavailable(error) from None
        return data

    def remove(self, relative: str) -> None:
        """See Backend."""
        try:
            # S3 deletes what is not there without a word.
            if not self._system().exists(f"{self._path}/{relative}"):
                raise ImageMissingError("nothing is stored at the picture's address")
            self._system().rm_file(f"{self._path}/{relative}")
        except (ImageMissingError, StoreUnavailableError):
            raise
        except Exception as error:
            raise _unavailable(error) from None

    def _system(self) -> Any:
        with self._lock:
            if self._opened is None:
                try:
                    self._opened = _open_system(self._scheme)
                except (ImportError, ValueError):
                    extra = " (install vigia-streams[s3])" if self._scheme in ("s3", "s3a") else ""
                    raise StoreUnavailableError(f"no driver for {self._scheme}:// is installed{extra}") from None
            return self._opened


def _open_system(scheme: str) -> Any:
    options: dict[str, Any] = {"skip_instance_cache": True, "use_listings_cache": False}
    if scheme in ("s3", "s3a"):
        options["config_kwargs"] = {
            "connect_timeout": S3_CONNECT_TIMEOUT_S,
            "read_timeout": S3_READ_TIMEOUT_S,
            "retries": {"max_attempts": 0},
        }
    system = fsspec.filesystem(scheme, **options)
    if scheme in ("s3", "s3a"):
        system.retries = 1
    return system


def _open_at(folder: int, name: str, flags: int) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            raise ImageMissingError("nothing is stored at the picture's address") from None
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
            raise OutsideStoreError("the picture's address passes through a link or no folder") from None
        raise StoreUnavailableError(f"the picture cannot be opened: {error.strerror}") from None


def _below(root: str, uri: str) -> str | None:
    return uri[len(root) + 1 :] if uri.startswith(f"{root}/") else None


def _s3_code(error: BaseException) -> str | None:
    response = getattr(error.__cause__, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def _unavailable(error: Exception) -> StoreUnavailableError:
    # The driver's own text may hold the address; its kind is enough to act on.
    return StoreUnavailableError(f"the image store failed ({_s3_code(error) or type(error).__name__})")
