"""Evaluating a version: judge the sets, summarise, and write report, figures and card beside each other."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inference.evaluation.card import card, statement
from inference.evaluation.judging import JudgedPicture, judge_series
from inference.evaluation.report import Shown, gallery, html
from inference.evaluation.samples import sample_crops
from inference.evaluation.summary import summarise_foreign, summarise_wounds
from inference.predictor import Predictor
from inference.synthetic.corpus import Progress, Series
from inference.versions import ModelBundle

#: Seeds of the generated test sets. Training and validation never use them.
_SEEDS: Final[Mapping[str, int]] = {
    "ordinary": 91_001,
    "shifted": 92_001,
    "foreign": 93_001,
    "foreign-held-out": 94_001,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured, as plain data, and the pictures of the report by set (right ones, wrong ones)."""

    figures: Mapping[str, Any]
    pictures: Mapping[str, tuple[Sequence[Shown], Sequence[Shown]]]


def total(count: int) -> int:
    """Return how many pictures `evaluate_generated` judges, for a progress bar."""
    return 2 * count + 2 * (count // 4)


def evaluate_generated(
    bundle: ModelBundle, *, count: int, command: str, processes: int = 1, progress: Progress | None = None
) -> Evaluation:
    """Judge `count` pictures of each distribution and a quarter as many foreign ones of each kind.

    Where scikit-image is installed its photographs, cut into crops, are judged too: pictures that nothing here was
    made from.
    """
    sets: dict[str, Any] = {}
    pictures: dict[str, tuple[Sequence[Shown], Sequence[Shown]]] = {}
    predictor = Predictor(bundle.path)
    for kind, seed in _SEEDS.items():
        wounds = not kind.startswith("foreign")
        series = Series(kind=kind, seed=seed, count=count if wounds else count // 4)
        records = judge_series(series, bundle.path, processes=processes, progress=progress)
        sets[kind] = summarise_wounds(records) if wounds else summarise_foreign(records)
        if wounds:
            pictures[kind] = gallery(records, predictor)
    if crops := sample_crops():
        results = predictor.predict([data for _, data in crops])
        sets["photographs"] = summarise_foreign(
            [JudgedPicture.of_foreign(result, name) for result, (name, _) in zip(results, crops, strict=True)]
        )
    return Evaluation(figures=_figures(bundle, sets, command), pictures=pictures)


def evaluate_records(bundle: ModelBundle, records: Sequence[JudgedPicture], *, command: str) -> Evaluation:
    """Summarise the test part of an operator's own pictures."""
    return Evaluation(figures=_figures(bundle, {"ordinary": summarise_wounds(records)}, command), pictures={})


def write(evaluation: Evaluation, bundle: ModelBundle, out: Path) -> list[Path]:
    """Write `evaluation.json`, `evaluation.html` and `MODEL_CARD.md` to `out`; return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    texts = {
        "evaluation.json": json.dumps(evaluation.figures, indent=1) + "\n",
        "evaluation.html": html(evaluation.figures, evaluation.pictures),
        "MODEL_CARD.md": card(bundle.settings, evaluation.figures),
    }
    for name, text in texts.items():
        (out / name).write_text(text, encoding="utf-8")
    return [out / name for name in texts]


def _figures(bundle: ModelBundle, sets: Mapping[str, Any], command: str) -> dict[str, Any]:
    return {
        "model_version": bundle.version,
        "statement": statement(bundle.settings),
        "command": command,
        "seeds": dict(_SEEDS),
        "sets": dict(sets),
    }
