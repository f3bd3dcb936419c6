"""Downloads a pinned program into the cache, once: with jgo, checked against its pins, made visible by one rename.

jgo itself writes straight to the final name and only warns of a wrong checksum, so a killed download would be taken for
a good file ever after. Hence a scratch repository for jgo, a hash of our own, and one rename per file.
"""

from __future__ import annotations

import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import file_digest
from pathlib import Path
from typing import Any

from ops.embedded.cache import cache_dir, exclusive
from ops.embedded.errors import FetchError
from ops.embedded.pins import PinnedFile, PinnedProgram
from ops.embedded.progress import STDERR, bytes_progress

#: Enough to use the whole bandwidth with small jars; more only loads the server.
PARALLEL_DOWNLOADS = 6
#: A hospital's proxy may drop a connection; when three attempts fail, it blocks them.
ATTEMPTS = 3
#: Seconds before the second attempt, doubled before the third.
PAUSE_S = 2.0
#: Seconds without a byte after which an attempt is given up.
SILENCE_TIMEOUT_S = 60


def fetch(program: PinnedProgram) -> Path:
    """The folder that holds the program's files (archives unpacked); downloads what is missing.

    Raises FetchError naming the file that could not be downloaded or is not the pinned one.
    """
    cache = cache_dir()
    home = cache / program.key
    # The folder is renamed to this name when all files are in it: if it exists, it is complete.
    if home.is_dir():
        return home
    with exclusive(cache / f"{program.key}.lock"):
        if not home.is_dir():
            _download(program, home)
    return home


def maven_context(repository: Path, progress: Callable[[str, int], Any] | None = None) -> Any:
    """A jgo context over the scratch `repository`; it asks the user's configured repositories, then Maven Central."""
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise FetchError(
            "the embedded services need the extra `embedded`: run `make venv`, or set VIGIA_BOOTSTRAP_SERVERS and "
            "VIGIA_SCHEMA_REGISTRY_URL to services of yours"
        ) from None
    return MavenContext(
        resolver=PythonResolver(progress_callback=progress),
        repo_cache=repository,
        remote_repos={**GlobalSettings.load().repositories, "default": MAVEN_CENTRAL_URL},
        timeout=SILENCE_TIMEOUT_S,
    )


def _download(program: PinnedProgram, home: Path) -> None:
    # What an earlier, interrupted attempt had finished is kept; only we, holding the lock, touch it.
    partial = home.with_name(f"{program.key}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    with bytes_progress(f"{program.title} {program.version}", program.size_bytes, STDERR) as advance:
        stop = threading.Event()

        @contextmanager
        def callback(_name: str, _total: int) -> Iterator[Callable[[int], None]]:
            def received(count: int) -> None:
                if stop.is_set():
                    raise FetchError("interrupted")
                advance(count)

            yield received

        def one(pin: PinnedFile) -> None:
            if (partial / pin.file_name).exists():
                advance(pin.size_bytes)
            else:
                _fetch_file(pin, partial, callback)

        with ThreadPoolExecutor(max_workers=PARALLEL_DOWNLOADS) as pool:
            try:
                list(pool.map(one, program.files))
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    _unpack(program, partial)
    partial.rename(home)


def _fetch_file(pin: PinnedFile, folder: Path, callback: Callable[[str, int], Any]) -> None:
    scratch = folder / f".{pin.file_name}"
    for attempt in range(1, ATTEMPTS + 1):
        shutil.rmtree(scratch, ignore_errors=True)
        context = maven_context(scratch, callback)
        artifact = context.project(pin.group, pin.artifact).at_version(pin.version)
        try:
            path = artifact.artifact(pin.classifier, pin.packaging).resolve()
            _verify(path, pin)
        except (OSError, RuntimeError) as error:
            if attempt == ATTEMPTS or isinstance(error, FetchError):
                shutil.rmtree(scratch, ignore_errors=True)
                raise FetchError(f"{pin.file_name} could not be fetched: {error}") from error
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        else:
            path.rename(folder / pin.file_name)
            shutil.rmtree(scratch)
            return


def _verify(path: Path, pin: PinnedFile) -> None:
    with path.open("rb") as file:
        found = file_digest(file, "sha256").hexdigest()
    if found != pin.sha256:
        if path.stat().st_size < pin.size_bytes:
            raise OSError(f"the download ended after {path.stat().st_size} of {pin.size_bytes} bytes")
        raise FetchError(f"its SHA-256 is {found}, pinned is {pin.sha256}")


def _unpack(program: PinnedProgram, folder: Path) -> None:
    for pin in program.files:
        if pin.packaging != "tar.gz":
            continue
        archive = folder / pin.file_name
        # Python 3.11.4 brought the filter; Debian 12 has 3.11.2. The archive is the very one that was pinned, so that
        # without the filter it unpacks the same.
        safety: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        with tarfile.open(archive) as tar:
            tar.extractall(folder, **safety)  # noqa: S202 - pinned, see above
        archive.unlink()
