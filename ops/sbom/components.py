"""The components, each read from where it is pinned: requirements.lock, the jars' pins, the Dockerfile, compose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

import yaml

from ops.compose.runtime_lock import cut, roots
from ops.embedded.pins import load_program
from ops.sbom import licences

#: Extras of setup.cfg that a running system uses; the others are tools of tests and measurements.
RUNTIME_EXTRAS: Final = ("embedded", "s3")
PROGRAMS: Final = ("kafka", "registry")
_OURS: Final = "vigia-streams"
_ENTRY: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^ ;\\\n]+)", re.MULTILINE)
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_FROM: Final = re.compile(r"^FROM (\S+)", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One thing of which the system is made. `purl` is its Package URL (github.com/package-url)."""

    kind: str
    name: str
    version: str
    purl: str
    #: None where it cannot be read on this machine: a package for another platform.
    licence: str | None
    #: SHA-256, hex. Of a package several: one per wheel that the lock allows.
    sha256: tuple[str, ...] = ()
    #: Whether a running system uses it, or only tests, measurements and the making of dashboards.
    runtime: bool = True


def components(root: Path) -> list[Component]:
    """All components of the checkout at `root`, by Package URL."""
    return sorted([*packages(root), *jars(), *images(root)], key=lambda each: each.purl)


def packages(root: Path) -> Iterator[Component]:
    """The Python packages that requirements.lock pins."""
    lock, setup_cfg = ((root / name).read_text(encoding="utf-8") for name in ("requirements.lock", "setup.cfg"))
    running = {name for name, _, _ in _entries(cut(lock, roots(setup_cfg, RUNTIME_EXTRAS)))}
    for name, version, entry in _entries(lock):
        yield Component(
            kind="python",
            name=name,
            version=version,
            purl=f"pkg:pypi/{name.lower()}@{version}",
            licence=_licence(name),
            sha256=tuple(_HASH.findall(entry)),
            runtime=name in running,
        )


def jars() -> Iterator[Component]:
    """The files of the embedded broker and registry."""
    for program in PROGRAMS:
        for file in load_program(program, program).files:
            licence = licences.JARS.get(f"{file.group}:{file.artifact}", licences.JARS.get(file.group))
            qualifiers = {"classifier": file.classifier, "type": file.packaging if file.packaging != "jar" else ""}
            tail = "&".join(f"{name}={value}" for name, value in qualifiers.items() if value)
            yield Component(
                kind="maven",
                name=f"{file.group}:{file.artifact}",
                version=file.version,
                purl=f"pkg:maven/{file.group}/{file.artifact}@{file.version}" + (f"?{tail}" if tail else ""),
                licence=licence,
                sha256=(file.sha256,),
            )


def images(root: Path) -> Iterator[Component]:
    """The container images of the compose file and of the Dockerfile, ours apart."""
    compose = yaml.safe_load((root / "compose.kafka.yml").read_text(encoding="utf-8"))
    named = {service["image"] for service in compose["services"].values() if "image" in service}
    named |= set(_FROM.findall((root / "Dockerfile").read_text(encoding="utf-8")))
    for image in sorted(named):
        name, _, version = image.partition(":")
        if name != _OURS:
            yield Component(
                kind="image",
                name=name,
                version=version,
                purl=f"pkg:docker/{name}@{version}",
                licence=licences.IMAGES.get(name),
            )


def _entries(lock: str) -> Iterator[tuple[str, str, str]]:
    """Name, version and whole entry of each package of a lock file."""
    found = list(_ENTRY.finditer(lock))
    for match, following in zip(found, [*found[1:], None], strict=True):
        yield match[1], match[2], lock[match.start() : None if following is None else following.start()]


def _licence(name: str) -> str | None:
    try:
        told = licences.of_package(metadata.metadata(name))
    except metadata.PackageNotFoundError:
        told = None
    return told or licences.PACKAGES.get(name)
