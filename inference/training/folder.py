"""A hospital's own pictures: a folder per class, or a CSV table; split by patient, never by picture.

Two pictures of one patient are alike in ways that have nothing to do with the wound. If one is trained on and the
other tested on, the test says little about the next patient, which is why the split is by patient and why a table
should name them. Patient codes are used for the split and forgotten: neither the corpus nor the model holds them.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from inference.decode import decode, to_square
from inference.errors import InferenceError
from inference.findings import CLASSES, ImageProblem
from inference.synthetic.corpus import Corpus, Progress

_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
_COLUMNS: Final = ("image", "stage", "patient")


class PictureFolderError(InferenceError):
    """The pictures or the table cannot be used; one line that says which row or class, never a patient's code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One picture file, its class, and who it is of; None is unknown, and the picture a patient of its own."""

    path: Path
    stage: str
    patient: str | None = None
    monk: int = 0


def find(source: Path) -> list[Labelled]:
    """Return the labelled pictures of a folder (one subfolder a class) or of a CSV table (image, stage, patient[,
    monk]).

    Raises `PictureFolderError` for an unknown class, a missing file, or a class without pictures.
    """
    found = list(_table(source) if source.is_file() else _folders(source))
    if not found:
        raise PictureFolderError(
            f"no pictures in {source}: expected one folder per class ({', '.join(CLASSES)}) or a CSV table"
        )
    missing = [stage for stage in CLASSES if all(entry.stage != stage for entry in found)]
    if missing:
        raise PictureFolderError(f"no picture of class {missing[0]}: every class needs some")
    return found


def _folders(source: Path) -> Iterator[Labelled]:
    if not source.is_dir():
        raise PictureFolderError(f"{source} is neither a folder nor a file")
    for folder in sorted(path for path in source.iterdir() if path.is_dir() and path.name[0] not in "._"):
        stage = folder.name.replace("-", "_").lower()
        if stage not in CLASSES:
            raise PictureFolderError(f"folder {folder.name!r} is no class; the classes are {', '.join(CLASSES)}")
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in _SUFFIXES:
                # A folder below the class names the patient: stage_2/patient-a/1.jpg.
                yield Labelled(path=path, stage=stage, patient=path.parent.name if path.parent != folder else None)


def _table(source: Path) -> Iterator[Labelled]:
    with source.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if absent := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
            raise PictureFolderError(f"{source.name} has no column {absent[0]!r}; it needs image, stage, patient")
        for number, row in enumerate(rows, start=2):
            stage, path = (row["stage"] or "").strip(), source.parent / (row["image"] or "")
            if stage not in CLASSES:
                raise PictureFolderError(f"{source.name} line {number}: {stage!r} is no class")
            if not path.is_file():
                raise PictureFolderError(f"{source.name} line {number}: there is no such picture")
            if not (row["patient"] or "").strip():
                raise PictureFolderError(f"{source.name} line {number}: no patient, and the split is by patient")
            monk = (row.get("monk") or "0").strip()
            if not monk.isdigit() or int(monk) > 10:
                raise PictureFolderError(f"{source.name} line {number}: monk is a tone from 1 to 10, or empty")
            yield Labelled(path=path, stage=stage, patient=row["patient"].strip(), monk=int(monk))


def read(entries: Sequence[Labelled], side: int, progress: Progress | None = None) -> tuple[Corpus, list[str]]:
    """Decode the pictures to `side` pixels. Returns the corpus and a line for each picture that could not be used."""
    pixels, kept, problems = [], [], []
    for number, entry in enumerate(entries, start=1):
        try:
            pixels.append(to_square(decode(entry.path.read_bytes()).pixels, side))
            kept.append(entry)
        except ImageProblem as problem:
            problems.append(f"picture {number} ({entry.stage}): {problem}")
        if progress is not None:
            progress(1)
    if not kept:
        raise PictureFolderError("none of the pictures can be read")
    names: dict[str, int] = {}
    groups = [names.setdefault(entry.patient or f"\0{number}", len(names)) for number, entry in enumerate(kept)]
    corpus = Corpus(
        pixels=np.stack(pixels),
        labels=np.array([CLASSES.index(entry.stage) for entry in kept], np.int64),
        groups=np.array(groups, np.int64),
        tones=np.array([entry.monk for entry in kept], np.int64),
        tags=tuple(() for _ in kept),
    )
    return corpus, problems


def split(corpus: Corpus, shares: tuple[float, float], seed: int) -> tuple[Corpus, Corpus, Corpus]:
    """Split by group into train, validation and test, with `shares` of the groups in the latter two.

    Groups are dealt class by class (a group counts for its worst picture), so that a rare class is in every part as
    far as it has groups. Each part keeps all pictures of its groups. Raises `PictureFolderError` when a class has fewer
    than three groups.
    """
    worst: dict[int, int] = {}
    for group, label in zip(corpus.groups.tolist(), corpus.labels.tolist(), strict=True):
        worst[group] = max(worst.get(group, 0), label)
    part: dict[int, int] = {}
    for label in sorted(set(worst.values())):
        groups = sorted((g for g, w in worst.items() if w == label), key=lambda g: _order(seed, g))
        if len(groups) < 3:
            raise PictureFolderError(
                f"class {CLASSES[label]} has {len(groups)} patients; at least 3 are needed to split by patient"
            )
        held = [max(1, round(len(groups) * share)) for share in shares]
        for position, group in enumerate(groups):
            part[group] = 1 if position < held[0] else 2 if position < sum(held) else 0
    where = np.array([part[group] for group in corpus.groups.tolist()])
    train, validation, test = (corpus.take(np.flatnonzero(where == number)) for number in range(3))
    return train, validation, test


def _order(seed: int, group: int) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
