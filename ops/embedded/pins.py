"""The pinned files of each embedded program: Maven coordinate, size and SHA-256, read from `<name>.pins.txt`.

With the files pinned, nothing is resolved at run time: the class path is the same on every machine, a download needs no
POM, and a file that is not the one we tested is refused, whoever served it. `python -m ops.embedded.write_pins` writes
these files.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFile:
    """One file of a Maven repository."""

    group: str
    artifact: str
    version: str
    classifier: str
    packaging: str
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """Its name in the repository, unique among the files of a program."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.packaging}"

    def line(self) -> str:
        """The pin as `parse_pins` reads it."""
        coordinate = ":".join((self.group, self.artifact, self.version, self.classifier, self.packaging))
        return f"{coordinate} {self.size_bytes} {self.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedProgram:
    """A program as the set of its files."""

    name: str
    title: str
    version: str
    files: tuple[PinnedFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes to download."""
        return sum(file.size_bytes for file in self.files)

    @property
    def key(self) -> str:
        """Folder name in the cache: changes when any file changes."""
        digest = sha256("\n".join(file.line() for file in self.files).encode()).hexdigest()
        return f"{self.name}-{self.version}-{digest[:12]}"


def parse_pins(text: str) -> tuple[PinnedFile, ...]:
    """Pins from lines `group:artifact:version:classifier:packaging bytes sha256`; `#` begins a comment."""
    pins = []
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        coordinate, size, digest = line.split()
        group, artifact, version, classifier, packaging = coordinate.split(":")
        pins.append(
            PinnedFile(
                group=group,
                artifact=artifact,
                version=version,
                classifier=classifier,
                packaging=packaging,
                size_bytes=int(size),
                sha256=digest,
            )
        )
    return tuple(pins)


def pinned_versions(name: str) -> tuple[str, ...]:
    """Releases whose pins are here, the oldest first: the program's own, and those in `<name>-<version>.pins.txt`."""
    named = [file.name for file in files("ops.embedded").iterdir()]
    others = [file.removeprefix(f"{name}-").removesuffix(".pins.txt") for file in named if file.startswith(f"{name}-")]
    found = {load_program(name, name).version, *others}
    return tuple(sorted(found, key=lambda version: tuple(map(int, version.split(".")))))


def load_program(name: str, title: str, version: str | None = None) -> PinnedProgram:
    """The program whose pins are in `<name>.pins.txt`, or one of its other `pinned_versions`."""
    pins = _pins(name)
    if version not in (None, pins[0].version):
        pins = _pins(f"{name}-{version}")
    return PinnedProgram(name=name, title=title, version=pins[0].version, files=pins)


def _pins(file: str) -> tuple[PinnedFile, ...]:
    return parse_pins(files("ops.embedded").joinpath(f"{file}.pins.txt").read_text())


#: Releases of Kafka that can be started: the one that we ship, and others, to see how the pipeline fares on them.
KAFKA_VERSIONS = pinned_versions("kafka")
