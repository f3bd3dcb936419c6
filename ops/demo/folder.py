"""The run folder of a demo: emptied at its start, and never a folder that holds anything else."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ops.system.context import LOCK_FILE
from schemas.errors import OneLineError

#: A file that marks a folder as a demo's, which may be emptied; locked for as long as the demo runs.
MARKER = "demo.lock"
#: How many demos of one user find a folder by themselves at the same time; further ones need --run-dir.
AT_ONCE = 9


class DemoFolderError(OneLineError):
    """The folder is in use, or holds something that is not a demo's."""


@contextmanager
def own_folder(chosen: Path | None, usual: Path) -> Iterator[Path]:
    """An empty folder for as long as the block lasts; its contents stay until the next demo.

    `chosen` must be new, empty, or an earlier demo's; else the first free one of `usual`, `usual-2`, … is taken.
    Raises DemoFolderError.
    """
    if chosen is not None:
        folder, lock = chosen, _claim(chosen)
    else:
        folder, lock = _first_free(usual)
    with lock:
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.name != MARKER:
                path.unlink()
        yield folder


def _first_free(usual: Path) -> tuple[Path, IO[str]]:
    for number in range(1, AT_ONCE + 1):
        folder = usual if number == 1 else usual.with_name(f"{usual.name}-{number}")
        try:
            return folder, _claim(folder)
        except DemoFolderError:
            continue
    raise DemoFolderError(f"{usual} and {AT_ONCE - 1} more like it are in use; choose a folder with --run-dir")


def _claim(folder: Path) -> IO[str]:
    """The open, locked marker of a folder that nobody else uses."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / MARKER).exists() and any(folder.iterdir()):
        raise DemoFolderError(f"{folder} holds something that is not a demo's; choose another --run-dir")
    lock = (folder / MARKER).open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # `vigia up` may have been started in the folder, to look at what a demo left.
        if (folder / LOCK_FILE).exists():
            with (folder / LOCK_FILE).open("a") as other:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise DemoFolderError(f"another vigia works in {folder}; give this one a --run-dir of its own") from None
    return lock
