"""Model versions on disk: immutable folders, verified before use, one of them active.

A version is a folder `<directory>/<version>/`:

    manifest.json    size and SHA-256 of every other file
    model.json       classes, preprocessing, temperature, thresholds: everything that turns outputs into a finding
    model.tflite     the network for serving (LiteRT, float32)
    model.keras      the same network for TensorFlow: reference runtime and start of fine-tuning
    rejection.npz    statistics of the features, for the distance-based abstention
    MODEL_CARD.md    what it was trained on, what it can and cannot do

The version's name ends in the first ten hex digits of the hash over the files that decide (`DECIDING`). Events and
audit entries carry that name, so a changed model cannot pass for the one they speak of, even when its manifest was
rewritten as well.

`active.json` beside the folders names the active version and those before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from inference.findings import CLASSES, ModelError

#: The models that are part of the distribution.
PACKAGED: Final = Path(__file__).parent / "models"

#: Files whose content decides what a finding says, in the order in which they are hashed into the version's name.
DECIDING: Final[tuple[str, ...]] = ("model.json", "model.tflite", "model.keras", "rejection.npz")

_MANIFEST: Final = "manifest.json"
_ACTIVE: Final = "active.json"
_VERSION: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}-[0-9a-f]{10}")


class RegistryError(ModelError):
    """A version is missing, malformed or not what its manifest says. One line, naming version and file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelBundle:
    """One verified version: where it is, and its settings (`model.json`) as plain data."""

    version: str
    path: Path
    settings: Mapping[str, Any]
    sha256: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the network's outputs."""
        return tuple(self.settings["classes"])


def fingerprint(folder: Path) -> str:
    """Return the SHA-256 (hex) over names and contents of the deciding files of `folder`."""
    digest = hashlib.sha256()
    for name in DECIDING:
        digest.update(f"{name}\0{_sha256(folder / name)}\n".encode())
    return digest.hexdigest()


def seal(folder: Path, name: str, directory: Path) -> str:
    """Make `folder` a version of `directory` and return the version: `name` plus the fingerprint's first ten digits.

    The folder is copied and renamed into place, so a reader sees all of it or nothing. Sealing the same content
    twice returns the version that is already there.
    """
    version = f"{name}-{fingerprint(folder)[:10]}"
    if not _VERSION.fullmatch(version):
        raise RegistryError(f"model name {name!r}: use lower-case letters, digits, dots and dashes")
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / version
    if target.exists():
        verify(version, directory)
        return version
    staging = Path(tempfile.mkdtemp(prefix=f".{version}-", dir=directory))
    try:
        shutil.copytree(folder, staging, dirs_exist_ok=True)
        staging.chmod(0o755)
        write_manifest(staging, version)
        os.replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return version


def write_manifest(folder: Path, version: str) -> None:
    """Write `manifest.json` over all files of `folder`: for `seal`, and to add the card before release."""
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != _MANIFEST
    }
    text = json.dumps({"format": 1, "version": version, "files": files}, indent=2) + "\n"
    (folder / _MANIFEST).write_text(text, encoding="utf-8")


def verify(version: str, directory: Path | None = None) -> ModelBundle:
    """Check every file of `version` against manifest and name; raise `RegistryError` naming the first difference."""
    folder = _folder(version, directory)
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        files: dict[str, dict[str, Any]] = manifest["files"]
        settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        stated = manifest["version"]
        expected = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in files.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RegistryError(f"model {version}: no readable manifest or settings ({type(error).__name__})") from error
    if stated != version:
        raise RegistryError(f"model {version}: its manifest is for another version")
    present = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {_MANIFEST}
    if extra := sorted(present - expected.keys()):
        raise RegistryError(f"model {version}: {extra[0]} is not in the manifest")
    for name, (size, sha256) in expected.items():
        path = folder / name
        if name not in present:
            raise RegistryError(f"model {version}: {name} is missing")
        if path.stat().st_size != size or _sha256(path) != sha256:
            raise RegistryError(f"model {version}: {name} was changed after release")
    if missing := [name for name in DECIDING if name not in expected]:
        raise RegistryError(f"model {version}: {missing[0]} is missing")
    digest = fingerprint(folder)
    if not version.endswith(digest[:10]):
        raise RegistryError(f"model {version}: its content does not belong to this name")
    if tuple(settings.get("classes", ())) != CLASSES:
        raise RegistryError(f"model {version}: its classes are not this release's {', '.join(CLASSES)}")
    return ModelBundle(version=version, path=folder, settings=MappingProxyType(settings), sha256=digest)


def load(version: str | None = None, directory: Path | None = None) -> ModelBundle:
    """Return the verified bundle of `version`, of the active one when None."""
    return verify(version or active(directory), directory)


def versions(directory: Path | None = None) -> list[str]:
    """Return the versions in `directory` by name, valid or not; `verify` tells which."""
    root = directory or PACKAGED
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if p.is_dir() and _VERSION.fullmatch(p.name))


def history(directory: Path | None = None) -> list[str]:
    """Return the versions that were promoted, oldest first, the active one last; empty when none was."""
    path = (directory or PACKAGED) / _ACTIVE
    try:
        return [str(version) for version in json.loads(path.read_text(encoding="utf-8"))["history"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RegistryError(f"{path.name} beside the models cannot be read ({type(error).__name__})") from error


def active(directory: Path | None = None) -> str:
    """Return the active version's name; raise `RegistryError` when none was ever promoted."""
    past = history(directory)
    if not past:
        raise RegistryError(f"no active model in {directory or PACKAGED}: train one, then promote it")
    return past[-1]


def promote(version: str, directory: Path | None = None) -> ModelBundle:
    """Verify `version` and make it the active one."""
    bundle = verify(version, directory)
    past = history(directory)
    if not past or past[-1] != version:
        _write_history([*past, version], directory)
    return bundle


def rollback(directory: Path | None = None) -> ModelBundle:
    """Make the version before the active one active again; it is verified first."""
    past = history(directory)
    if len(past) < 2:
        raise RegistryError("no earlier model to roll back to")
    bundle = verify(past[-2], directory)
    _write_history(past[:-1], directory)
    return bundle


def _folder(version: str, directory: Path | None) -> Path:
    # The pattern has no slash and no leading dot: a version from an event cannot name a folder outside the directory.
    if not _VERSION.fullmatch(version):
        raise RegistryError("not a model version's name: expected something like lpp-1-0123456789")
    folder = (directory or PACKAGED) / version
    if not folder.is_dir():
        raise RegistryError(f"model {version} is not in {directory or PACKAGED}")
    return folder


def _write_history(past: list[str], directory: Path | None) -> None:
    path = (directory or PACKAGED) / _ACTIVE
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps({"active": past[-1], "history": past}, indent=2) + "\n", encoding="utf-8")
    os.replace(partial, path)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise RegistryError(f"{path.name} cannot be read ({type(error).__name__})") from error
