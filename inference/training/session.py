"""Training sessions as a person starts them: on generated pictures, or on a folder of one's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import cv2
import numpy as np

from inference import versions as registry
from inference.evaluation.judging import judge_files
from inference.evaluation.run import Evaluation, evaluate_records, write
from inference.findings import CLASSES
from inference.predictor import Predictor
from inference.synthetic.corpus import Corpus, Series, join, render
from inference.training.fit import FitSettings
from inference.training.folder import find, read, split
from inference.training.network import SIDE
from inference.training.recipe import train_model
from inference.versions import ModelBundle

#: Side at which training pictures are kept: a little more than the network sees, so that zooming in has something to
#: show.
STORED: Final = 144
#: Foreign pictures for each picture of a wound, and validation pictures for each training picture.
_FOREIGN_SHARE: Final = 0.14857
_VALIDATION_SHARE: Final = 0.16
#: Shares of the patients that validate and test a model trained on own pictures.
_HELD: Final = (0.2, 0.2)


class SessionWatcher(Protocol):
    """Whoever wants to see how a session gets on."""

    def begin(self, what: str, total: int) -> None:
        """Start a new piece of work of `total` steps."""
        ...

    def advance(self, steps: int) -> None:
        """Some steps are done."""
        ...

    def say(self, line: str) -> None:
        """One line worth reading."""
        ...


def train_generated(
    count: int,
    settings: FitSettings,
    *,
    name: str,
    directory: Path,
    watch: SessionWatcher,
    start: str | None = None,
    workdir: Path | None = None,
) -> str:
    """Render `count` pictures (and foreign and validation ones), train on them, and return the sealed version."""
    validation = max(70, round(count * _VALIDATION_SHARE))
    seed = settings.seed
    parts = {
        "train": (Series(kind="ordinary", seed=seed, count=count), STORED),
        "foreign": (Series(kind="foreign", seed=seed + 1, count=round(count * _FOREIGN_SHARE)), STORED),
        "validation": (Series(kind="ordinary", seed=seed + 100, count=validation), SIDE),
        "foreign validation": (Series(kind="foreign", seed=seed + 101, count=math.ceil(validation / 4)), SIDE),
    }
    made = {}
    for what, (series, side) in parts.items():
        watch.begin(f"Rendering {what}", series.count)
        made[what] = render(series, side, processes=settings.threads, progress=watch.advance)
    return train_model(
        join([made["train"], made["foreign"]]),
        join([made["validation"], made["foreign validation"]]),
        settings,
        name=name,
        directory=directory,
        origin={"kind": "generated", "seed": seed},
        start=start,
        workdir=workdir,
        report=_reporter(settings, watch),
    )


def train_pictures(
    source: Path,
    settings: FitSettings,
    *,
    name: str,
    directory: Path,
    watch: SessionWatcher,
    start: str | None = None,
    workdir: Path | None = None,
) -> str:
    """Train on the pictures of `source`, measure on test patients, write the card, and return the sealed version.

    Raises `PictureFolderError` when the pictures cannot be used.
    """
    entries = find(source)
    watch.begin("Reading pictures", len(entries))
    corpus, problems = read(entries, STORED, watch.advance)
    for problem in problems:
        watch.say(f"left out: {problem}")
    train, validation, test = split(corpus, _HELD, settings.seed)
    watch.say(
        f"{len(train)} pictures to train on, {len(validation)} to validate, {len(test)} to test; no patient in two"
    )
    foreign = max(20, round(len(train) * _FOREIGN_SHARE))
    unlike = render(Series(kind="foreign", seed=settings.seed + 1, count=foreign), STORED)
    unlike_too = render(Series(kind="foreign", seed=settings.seed + 101, count=max(20, foreign // 4)), STORED)
    version = train_model(
        join([train, unlike]),
        join([validation, unlike_too]),
        settings,
        name=name,
        directory=directory,
        origin={"kind": "own pictures", "pictures": len(corpus), "patients": len(set(corpus.groups.tolist()))},
        start=start,
        workdir=workdir,
        report=_reporter(settings, watch),
    )
    bundle = registry.verify(version, directory)
    watch.begin("Testing", len(test))
    records = judge_files(_encoded(test), Predictor(bundle.path), watch.advance)
    write(evaluate_records(bundle, records, command=f"vigia model train --pictures {source.name}"), bundle, bundle.path)
    registry.write_manifest(bundle.path, version)
    return version


def evaluate_pictures(bundle: ModelBundle, source: Path, watch: SessionWatcher) -> Evaluation:
    """Measure a version on all pictures of `source`, which it must not have been trained on."""
    entries = find(source)
    watch.begin("Judging", len(entries))
    files = [(entry.path.read_bytes(), CLASSES.index(entry.stage), entry.monk) for entry in entries]
    records = judge_files(files, Predictor(bundle.path), watch.advance)
    if len(records) < len(entries):
        watch.say(f"{len(entries) - len(records)} pictures could not be read")
    return evaluate_records(bundle, records, command=f"vigia model evaluate {bundle.version} --pictures {source.name}")


def _encoded(corpus: Corpus) -> list[tuple[bytes, int, int]]:
    """Return the test pictures as files: the predictor's only door. PNG, so that nothing is lost on the way."""
    return [
        (cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].tobytes(), int(label), int(tone))
        for pixels, label, tone in zip(corpus.pixels, corpus.labels, corpus.tones, strict=True)
    ]


def _reporter(settings: FitSettings, watch: SessionWatcher) -> Any:
    watch.begin("Training", settings.epochs)

    def report(epoch: int, epochs: int, values: Mapping[str, float], seconds: float) -> None:
        watch.advance(1)
        loss, accuracy = values.get("val_logits_loss", np.nan), values.get("val_logits_accuracy", np.nan)
        watch.say(f"epoch {epoch}/{epochs}: validation loss {loss:.3f}, accuracy {accuracy:.3f}, {seconds:.0f} s")

    return report
