"""Cuts from requirements.lock what a worker needs, so that no test tool or compiler's friend is in the image.

    python runtime_lock.py requirements.lock setup.cfg s3 > runtime.lock

The lock holds, beside each package, which others asked for it (`# via`). From the packages of setup.cfg and the extras
named, that is followed down. Hashes and markers stay as they are, so an install from the cut is as checked as from
the whole; should a package be missing, pip refuses the install.

Runs before anything is installed: standard library only.
"""

from __future__ import annotations

import configparser
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_REQUIREMENT = re.compile(r"^([a-z0-9][a-z0-9._-]*)==", re.MULTILINE)


def roots(setup_cfg: str, extras: Iterable[str]) -> set[str]:
    """Names of the packages that the distribution and the given extras ask for."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(setup_cfg)
    lines = parser["options"]["install_requires"].splitlines()
    for extra in extras:
        lines += parser["options.extras_require"][extra].splitlines()
    found = (_NAME.match(line.strip()) for line in lines)
    return {_normal(name[0]) for name in found if name}


def cut(lock: str, wanted: set[str]) -> str:
    """The entries of the lock that `wanted` packages are or, over any number of steps, ask for."""
    starts = [match.start() for match in _REQUIREMENT.finditer(lock)]
    entries = [lock[start:end] for start, end in zip(starts, [*starts[1:], len(lock)], strict=True)]
    askers = {_normal(entry.split("==")[0]): _askers(entry) for entry in entries}
    needed = set(wanted)
    while more := {name for name, by in askers.items() if by & needed} - needed:
        needed |= more
    return "".join(entry for entry in entries if _normal(entry.split("==")[0]) in needed)


def _askers(entry: str) -> set[str]:
    _, _, via = entry.partition("# via")
    names = (line.strip(" #").split(" ")[0] for line in via.splitlines())
    return {_normal(name) for name in names if name}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main(arguments: Sequence[str]) -> None:
    """Write the cut to stdout."""
    lock, setup_cfg, *extras = arguments
    asked = roots(Path(setup_cfg).read_text(encoding="utf-8"), extras)
    sys.stdout.write(cut(Path(lock).read_text(encoding="utf-8"), asked))


if __name__ == "__main__":
    main(sys.argv[1:])
