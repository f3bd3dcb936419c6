"""Writing generated pictures to a folder that training reads: a folder per class, a table, and a contact sheet."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.findings import CLASSES
from inference.synthetic.generator import DistributionName, Picture, picture

_COLUMNS: Final = ("image", "stage", "patient", "monk", "location", "variant", "nuisances")
#: Columns and side in pixels of a contact sheet.
_ACROSS: Final = 10
_THUMB: Final = 128


def write(
    out: Path,
    *,
    count: int,
    seed: int,
    distribution: DistributionName = "ordinary",
    stage: str | None = None,
    size: int = 256,
    masks: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write pictures 0…count-1 of the series `seed` below `out`; return the contact sheet's path.

    `metadata.csv` is a table that `vigia model train` reads. Every picture is a patient of its own.
    """
    cv2.setNumThreads(1)
    out.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[NDArray[np.uint8]]] = {name: [] for name in CLASSES}
    with (out / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.DictWriter(stream, _COLUMNS)
        table.writeheader()
        for index in range(count):
            made = picture(seed, index, distribution=distribution, stage=stage, size=size)
            name = f"{made.stage}/{seed}-{index:06d}.jpg"
            (out / made.stage).mkdir(exist_ok=True)
            (out / name).write_bytes(made.jpeg())
            if masks:
                _write_mask(out / "_masks" / name, made)
            table.writerow(_row(name, made))
            if len(rows[made.stage]) < _ACROSS:
                rows[made.stage].append(made.pixels)
            if progress is not None:
                progress(1)
    sheet = out / "contact-sheet.jpg"
    cv2.imwrite(str(sheet), cv2.cvtColor(contact_sheet(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 88])
    return sheet


def contact_sheet(rows: dict[str, list[NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Return RGB pixels with a labelled row for each name that has pictures."""
    filled = {name: pictures for name, pictures in rows.items() if pictures}
    width = max((len(pictures) for pictures in filled.values()), default=1) * (_THUMB + 2)
    bands = []
    for name, pictures in filled.items():
        label = np.full((18, width, 3), 255, np.uint8)
        cv2.putText(label, name, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (20, 20, 20), 1, cv2.LINE_AA)
        band = np.full((_THUMB + 2, width, 3), 255, np.uint8)
        for column, pixels in enumerate(pictures):
            small = cv2.resize(pixels, (_THUMB, _THUMB), interpolation=cv2.INTER_AREA)
            band[:_THUMB, column * (_THUMB + 2) : column * (_THUMB + 2) + _THUMB] = small
        bands += [label, band]
    return np.concatenate(bands) if bands else np.full((18, width, 3), 255, np.uint8)


def _row(name: str, made: Picture) -> dict[str, str]:
    return {
        "image": name,
        "stage": made.stage,
        "patient": f"generated-{made.seed}-{made.index}",
        "monk": str(made.monk),
        "location": made.location,
        "variant": made.variant,
        "nuisances": " ".join(made.nuisances),
    }


def _write_mask(path: Path, made: Picture) -> None:
    path = path.with_suffix(".png")
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), (made.lesion * 255).astype(np.uint8))
