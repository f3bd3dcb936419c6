"""The whole way from labelled pictures to a sealed version: fit, calibrate, choose thresholds, export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference import versions as registry
from inference.findings import CLASSES
from inference.rejection import FeatureStatistics, Floats
from inference.synthetic.corpus import FOREIGN, Corpus, shown
from inference.training.calibrate import fit_limits, fit_quality, fit_temperature
from inference.training.export import export
from inference.training.fit import EpochReport, FitSettings, fit
from inference.training.network import SIDE

#: Share of validation wounds that the two rejection measures may decline together. The rest of the 5 % that issue of
#: abstentions allows is left to the quality limits and to pictures less tidy than the validation set.
DECLINED: Final = 0.03
#: Fewest steps of an epoch: a few hundred pictures are cut into smaller batches, or an epoch would be over in two
#: steps.
STEPS: Final = 10
#: Share of the learning rate with which given weights are fine-tuned: the full rate would wash them out in an epoch.
FINE_TUNING: Final = 0.2


def train_model(
    train: Corpus,
    validation: Corpus,
    settings: FitSettings,
    *,
    name: str,
    directory: Path,
    origin: Mapping[str, Any],
    start: str | None = None,
    workdir: Path | None = None,
    report: EpochReport | None = None,
) -> str:
    """Train, calibrate and seal a model in `directory`; return its version. It is not promoted.

    Both corpora hold foreign pictures too. `origin` says where the pictures came from and is kept in `model.json`;
    `start` is the version to fine-tune, looked for in `directory` and then among the packaged ones.
    """
    weights = _start(start, directory) if start else None
    settings = replace(settings, batch=min(settings.batch, max(8, len(train) // STEPS)))
    if weights:
        settings = replace(settings, learning_rate=settings.learning_rate * FINE_TUNING)
    model = fit(train, validation, settings, start=weights, workdir=workdir, report=report)
    facts = {"origin": dict(origin), "started_from": start, "settings": asdict(settings)}
    return finish(model, train, validation, facts, name=name, directory=directory)


def finish(
    model: Any, train: Corpus, validation: Corpus, facts: Mapping[str, Any], *, name: str, directory: Path
) -> str:
    """Calibrate a trained Keras model on `validation` and seal it; `facts` on its training are kept in `model.json`."""
    wounds = validation.take(np.flatnonzero(validation.labels != FOREIGN))
    outputs = outputs_of(model, wounds.pixels)
    known = train.take(np.flatnonzero(train.labels != FOREIGN))
    statistics = FeatureStatistics.estimate(outputs_of(model, known.pixels)["features"], known.labels, len(CLASSES))
    limits = fit_limits(outputs["foreign"].reshape(-1), statistics.distance(outputs["features"]), DECLINED)
    return export(
        model,
        statistics,
        {
            "temperature": fit_temperature(outputs["logits"], wounds.labels),
            "quality": fit_quality(wounds.pixels).as_mapping(),
            "rejection": asdict(limits),
            "declined_share": DECLINED,
            "training": {
                **facts,
                "pictures": int((train.labels != FOREIGN).sum()),
                "foreign_pictures": int((train.labels == FOREIGN).sum()),
                "validation_pictures": len(wounds),
                "parameters": int(model.count_params()),
            },
        },
        name=name,
        directory=directory,
        probe=shown(validation.pixels[:16], SIDE),
    )


def outputs_of(model: Any, pixels: NDArray[np.uint8], batch: int = 64) -> dict[str, Floats]:
    """Return the Keras model's outputs for `pixels` (n, s, s, 3), shown as they are served."""
    parts = [
        {
            name: np.asarray(value)
            for name, value in model.predict_on_batch(shown(pixels[at : at + batch], SIDE)).items()
        }
        for at in range(0, len(pixels), batch)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _start(version: str, directory: Path) -> Path:
    home = directory if version in registry.versions(directory) else registry.PACKAGED
    return registry.verify(version, home).path / "model.keras"
