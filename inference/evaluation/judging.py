"""Judging pictures for an evaluation: through the very predictor that serves, bytes in, findings out."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np

from inference.findings import CLASSES, Finding, ImageProblem
from inference.predictor import Predictor
from inference.synthetic.corpus import FOREIGN, Progress, Series, conditions
from inference.synthetic.foreign import foreign_picture
from inference.synthetic.generator import Picture, picture

_CHUNK: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPicture:
    """One picture and what the model said. `label` indexes `CLASSES`, or is `FOREIGN`; `tone` is 0 when unknown.

    `probabilities` is empty when the network never saw the picture. `pointed`: whether the strongest evidence lies
    in the lesion; `energy`: the share of the positive evidence that does; None where there is no lesion or no heat map.
    `series`: where a generated picture can be rendered again, as a series of one.
    """

    label: int
    tone: int
    tags: tuple[str, ...]
    probabilities: tuple[float, ...] = ()
    abstained: str | None = None
    pointed: bool | None = None
    energy: float | None = None
    series: Series | None = None

    @classmethod
    def of_foreign(cls, result: Finding | ImageProblem, family: str) -> Self:
        """Return the record of a picture that is no wound photograph; an unreadable one counts as declined."""
        if isinstance(result, ImageProblem):
            return cls(label=FOREIGN, tone=0, tags=(family,), abstained=result.code)
        values = tuple(result.probabilities[name] for name in CLASSES) if result.probabilities else ()
        return cls(label=FOREIGN, tone=0, tags=(family,), probabilities=values, abstained=result.abstained)


def judge_series(
    series: Series, model_dir: Path, *, processes: int = 1, progress: Progress | None = None
) -> list[JudgedPicture]:
    """Render a series and judge it; the result does not depend on `processes`."""
    spans = [
        replace(series, start=at, count=min(_CHUNK, series.start + series.count - at))
        for at in range(series.start, series.start + series.count, _CHUNK)
    ]
    records: list[JudgedPicture] = []
    for part in _run(spans, model_dir, processes):
        records.extend(part)
        if progress is not None:
            progress(len(part))
    return records


def judge_files(
    entries: Sequence[tuple[bytes, int, int]], predictor: Predictor, progress: Progress | None = None
) -> list[JudgedPicture]:
    """Judge encoded pictures with their labels and tones; unreadable ones are left out."""
    records = []
    for at in range(0, len(entries), _CHUNK):
        part = entries[at : at + _CHUNK]
        results = predictor.predict([data for data, _, _ in part])
        records += [
            _record(result, label, tone, ())
            for result, (_, label, tone) in zip(results, part, strict=True)
            if isinstance(result, Finding)
        ]
        if progress is not None:
            progress(len(part))
    return records


_predictors: dict[Path, Predictor] = {}


def _run(spans: list[Series], model_dir: Path, processes: int) -> Iterator[list[JudgedPicture]]:
    if processes <= 1:
        yield from (_judge_span(span, model_dir) for span in spans)
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_judge_span, spans, [model_dir] * len(spans))


def _judge_span(series: Series, model_dir: Path) -> list[JudgedPicture]:
    if model_dir not in _predictors:
        _predictors[model_dir] = Predictor(model_dir, threads=1)
    indices = range(series.start, series.start + series.count)
    if series.kind.startswith("foreign"):
        held_out = series.kind == "foreign-held-out"
        made = [foreign_picture(series.seed, index, held_out=held_out) for index in indices]
        results = _predictors[model_dir].predict([data for _, data in made])
        return [JudgedPicture.of_foreign(result, family) for result, (family, _) in zip(results, made, strict=True)]
    pictures = [picture(series.seed, index, distribution=series.distribution) for index in indices]
    found = _predictors[model_dir].predict([each.jpeg() for each in pictures])
    records = []
    for result, each in zip(found, pictures, strict=True):
        if not isinstance(result, Finding):
            continue  # `_record` would say so; the type checker wants it here
        tags = (*each.nuisances, *conditions(each.facts))
        record = _record(result, CLASSES.index(each.stage), each.monk, tags)
        here = replace(series, start=each.index, count=1)
        records.append(replace(_located(record, result, each), series=here))
    return records


def _record(result: Finding | ImageProblem, label: int, tone: int, tags: tuple[str, ...]) -> JudgedPicture:
    if not isinstance(result, Finding):
        raise AssertionError(f"a generated picture cannot be read: {result}")
    values = tuple(result.probabilities[name] for name in CLASSES) if result.probabilities else ()
    return JudgedPicture(label=label, tone=tone, tags=tags, probabilities=values, abstained=result.abstained)


def _located(record: JudgedPicture, finding: Finding, made: Picture) -> JudgedPicture:
    """Add whether the heat map points at the lesion, for a recognised injury: its class is what the map explains."""
    if finding.heat is None or finding.stage != made.stage or float(made.lesion.max()) < 0.5:
        return record
    strength = finding.heat.normalised()
    inside = cv2.resize(made.lesion, strength.shape[::-1], interpolation=cv2.INTER_AREA)
    top = np.unravel_index(int(strength.argmax()), strength.shape)
    total = float(strength.sum())
    return replace(
        record,
        pointed=bool(inside[top] > 0.1),
        energy=float((strength * inside).sum() / total) if total > 0 else None,
    )
