"""The folder for downloads, and the file lock with which several processes share it."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ops.embedded.errors import EmbeddedError


def cache_dir(env: Mapping[str, str] = os.environ) -> Path:
    """Folder for downloads: `$VIGIA_CACHE_DIR`, else `$XDG_CACHE_HOME/vigia`, else `~/.cache/vigia`.

    A user without a home that can be written to (`nobody`, many service accounts) gets a private folder under the
    system's temporary one. Raises EmbeddedError when that is not safe to use.
    """
    if env.get("VIGIA_CACHE_DIR"):
        return Path(env["VIGIA_CACHE_DIR"]).absolute()
    base = Path(env["XDG_CACHE_HOME"]) if env.get("XDG_CACHE_HOME") else _home_cache()
    if base is not None:
        try:
            (base / "vigia").mkdir(parents=True, exist_ok=True)
        except OSError:
            pass
        else:
            if os.access(base / "vigia", os.R_OK | os.W_OK | os.X_OK):
                return base / "vigia"
    return _private_temporary()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, one process at a time; the kernel releases it however the holder dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _home_cache() -> Path | None:
    try:
        return Path.home() / ".cache"
    except RuntimeError:  # HOME unset and the user id unknown to the system, as in some containers
        return None


def _private_temporary() -> Path:
    path = Path(tempfile.gettempdir()) / f"vigia-cache-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    status = path.lstat()
    # The name can be guessed: another user may have made it first, to have us run what lies in it.
    if path.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise EmbeddedError(f"{path} is not yours alone: set VIGIA_CACHE_DIR to a folder of your own")
    return path
