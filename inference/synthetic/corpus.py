"""Pictures with labels, ready to train on: generated ones, or a hospital's own.

A corpus holds decoded squares, not files: every picture goes through the same `inference.decode` that serves, once.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from inference.decode import decode, to_square
from inference.findings import CLASSES
from inference.synthetic.foreign import foreign_picture
from inference.synthetic.generator import DistributionName, picture

#: Label of a picture that is no wound photograph.
FOREIGN: Final = -1
#: Pictures a task of a rendering process: long enough to amortise the message, short enough for a smooth progress bar.
_CHUNK: Final = 64

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corpus:
    """`pixels` (n, s, s, 3) RGB uint8, `labels` (n,) index into `CLASSES` or `FOREIGN`, `groups` (n,) who the
    picture is of.

    `tones` (n,) Monk tone, 0 unknown. `tags`: per picture, what else is in it (nuisances), for evaluation.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64]
    tones: NDArray[np.int64]
    tags: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: NDArray[np.int64]) -> Corpus:
        """Return the pictures at the indices `chosen`."""
        return Corpus(
            pixels=self.pixels[chosen],
            labels=self.labels[chosen],
            groups=self.groups[chosen],
            tones=self.tones[chosen],
            tags=tuple(self.tags[i] for i in chosen),
        )

    def save(self, path: Path) -> None:
        """Write the corpus to one uncompressed `.npz` file."""
        tags = np.array([" ".join(tags) for tags in self.tags])
        np.savez(path, pixels=self.pixels, labels=self.labels, groups=self.groups, tones=self.tones, tags=tags)

    @classmethod
    def read(cls, path: Path) -> Corpus:
        """Read what `save` wrote; nothing is unpickled."""
        with np.load(path, allow_pickle=False) as stored:
            tags = tuple(tuple(str(text).split()) for text in stored["tags"])
            arrays = {name: stored[name] for name in ("pixels", "labels", "groups", "tones")}
        return cls(**arrays, tags=tags)


def shown(pixels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return `pixels` (n, s, s, 3) at the side the network sees."""
    return pixels if pixels.shape[1] == side else np.stack([to_square(each, side) for each in pixels])


def join(parts: Sequence[Corpus]) -> Corpus:
    """Return the pictures of all `parts`, in order."""
    return Corpus(
        pixels=np.concatenate([part.pixels for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        tones=np.concatenate([part.tones for part in parts]),
        tags=tuple(tags for part in parts for tags in part.tags),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A run of generated pictures: indices `start` to `start + count` of `seed`. `kind` is a distribution or a
    foreign family set."""

    kind: str
    seed: int
    count: int
    start: int = 0

    @property
    def distribution(self) -> DistributionName:
        """The distribution of a series of wound pictures."""
        return "shifted" if self.kind == "shifted" else "ordinary"


def render(series: Series, side: int, *, processes: int = 1, progress: Progress | None = None) -> Corpus:
    """Render a series at `side` pixels. The result does not depend on `processes`."""
    spans = [
        Series(kind=series.kind, seed=series.seed, start=at, count=min(_CHUNK, series.start + series.count - at))
        for at in range(series.start, series.start + series.count, _CHUNK)
    ]
    parts = []
    for part in _run(spans, side, processes):
        parts.append(part)
        if progress is not None:
            progress(len(part))
    return join(parts)


def _run(spans: list[Series], side: int, processes: int) -> Iterator[Corpus]:
    if processes <= 1 or len(spans) == 1:
        yield from (_render_span(span, side) for span in spans)
        return
    # "spawn": a forked child would inherit TensorFlow's threads in an undefined state.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_render_span, spans, [side] * len(spans))


def _render_span(series: Series, side: int) -> Corpus:
    cv2.setNumThreads(1)
    pixels = np.empty((series.count, side, side, 3), np.uint8)
    labels = np.full(series.count, FOREIGN, np.int64)
    tones = np.zeros(series.count, np.int64)
    tags: list[tuple[str, ...]] = []
    for row, index in enumerate(range(series.start, series.start + series.count)):
        if series.kind.startswith("foreign"):
            family, data = foreign_picture(series.seed, index, held_out=series.kind == "foreign-held-out")
            tags.append((family,))
        else:
            made = picture(series.seed, index, distribution=series.distribution)
            data = made.jpeg()
            labels[row] = CLASSES.index(made.stage)
            tones[row] = made.monk
            tags.append((*made.nuisances, made.variant, *conditions(made.facts)))
        pixels[row] = to_square(decode(data).pixels, side)
    groups = np.arange(series.start, series.start + series.count, dtype=np.int64)
    return Corpus(pixels=pixels, labels=labels, groups=groups, tones=tones, tags=tuple(tags))


def conditions(values: Mapping[str, float]) -> tuple[str, ...]:
    """Name what light and camera did to a picture, where a person would notice it."""
    names = {
        "blurred": values["blur_px"] > 3.0,
        "shadow": values["shadow"] > 0.0,
        "dim": values["exposure"] < 0.75,
        "grainy": values["grain"] > 0.03,
        "low_resolution": values["coarse"] < 1.0,
        "compressed": values["jpeg"] < 60,
    }
    return tuple(name for name, present in names.items() if present)
