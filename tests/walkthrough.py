"""Follows docs/extending.md: the blocks of a section as changes of a copy of this tree."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
#: What the programs and their tests are made of.
TREE = ("schemas", "streams", "ops", "tests", "docs")
#: Not changed by the page, and with its models far larger than the rest: linked.
LINKED = "inference"
#: Large, or of another path. Compiled modules are copied: Python compiles again only what a section changes.
_LEFT_OUT = shutil.ignore_patterns("*-pytest-*.pyc", "node_modules")

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: The first line of a new file's block, in the comment of its language.
_NEW = re.compile(r"(?:#|//) (\S+/\S+)\n(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """A block of the page: a new file (`hunks` None), or a file with hunks of (old text, new text)."""

    path: str
    text: str
    hunks: tuple[tuple[str, str], ...] | None

    def apply(self, root: Path) -> None:
        """Write it below `root`. Fails where the file is there already, or an old text is not there exactly once."""
        path = root / self.path
        assert not self.path.startswith(LINKED)
        if self.hunks is None:
            assert not path.exists(), f"{self.path} is not new"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.text, encoding="utf-8")
            return
        content = path.read_text(encoding="utf-8")
        for old, new in self.hunks:
            assert content.count(old) == 1, f"{self.path} has {content.count(old)} × {old!r}"
            content = content.replace(old, new)
        path.write_text(content, encoding="utf-8")


def section(title: str) -> str:
    """The text below one of the page's headings of second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert found, f"{PAGE.name} has no section {title}"
    return found[1]


def changes(title: str) -> list[Change]:
    """The changes that a section asks for, in its order."""
    made = []
    for language, text in _FENCE.findall(section(title)):
        if language == "diff":
            head, _, body = text.partition("\n")
            hunks = tuple(_hunk(hunk) for hunk in re.split(r"^@@\n", body, flags=re.MULTILINE))
            made.append(Change(head.removeprefix("+++ "), body, hunks))
        elif found := _NEW.fullmatch(text):
            made.append(Change(found[1], found[2], None))
    return made


def _hunk(text: str) -> tuple[str, str]:
    lines = text.splitlines()
    assert all(line[:1] in " +-" for line in lines), lines
    old = "\n".join(line[1:] for line in lines if line[:1] != "+")
    new = "\n".join(line[1:] for line in lines if line[:1] != "-")
    return old, new


def copy_of_the_tree(folder: Path) -> Path:
    """A copy without what is built, to be changed as the page says."""
    for name in TREE:
        shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
    (folder / LINKED).symlink_to(ROOT / LINKED)
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    return folder


def followed(title: str, folder: Path) -> Path:
    """A copy of the tree in `folder`, changed as the section says."""
    root = copy_of_the_tree(folder)
    for change in changes(title):
        change.apply(root)
    return root


def run(root: Path, *command: str, within_s: float = 240) -> str:
    """What a Python program writes that runs on the copy; fails with its errors."""
    # A pytest in the copy is one of its own, also where this one runs beside others or measures coverage.
    foreign = ("VIGIA_", "PYTEST_", "COV_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env["PYTHONPATH"] = str(root)
    done = subprocess.run(
        [sys.executable, *command], cwd=root, env=env, capture_output=True, text=True, timeout=within_s, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout
