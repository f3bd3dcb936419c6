"""All figures of an evaluation as one mapping, ready for JSON: what the report and the model card are made from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from inference.evaluation import metrics
from inference.evaluation.judging import JudgedPicture
from inference.findings import CLASSES
from inference.synthetic.corpus import FOREIGN

#: Monk tones in three groups of skin tone.
TONES: Final[Mapping[str, tuple[int, ...]]] = {
    "light (1–3)": (1, 2, 3),
    "medium (4–7)": (4, 5, 6, 7),
    "dark (8–10)": (8, 9, 10),
}

#: What a version should reach: (key of the summary of a set, ordinary, shifted, True when larger is better).
TARGETS: Final[tuple[tuple[str, float, float, bool], ...]] = (
    ("accuracy", 0.90, 0.82, True),
    ("ece", 0.03, 0.03, False),
    ("missed_injury", 0.01, 0.03, False),
    ("full_thickness_milder", 0.02, 0.05, False),
    ("tone_gap", 0.03, 0.05, False),
    ("abstained", 0.05, 0.05, False),
)
FOREIGN_TARGET: Final = 0.99


def summarise_wounds(records: Sequence[JudgedPicture]) -> dict[str, Any]:
    """Return the figures of one set of wound pictures. Those of the classes are over all pictures that the network saw.

    An abstention is not a mistake and not a success: accuracy without abstentions is `accuracy_judged`, the share is
    `abstained`.
    """
    seen = [record for record in records if record.probabilities]
    labels = np.array([record.label for record in seen], np.int64)
    probabilities = np.array([record.probabilities for record in seen], np.float64)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    correct = predicted == labels
    judged = np.array([record.abstained is None for record in seen])
    table = metrics.confusion(labels, predicted)
    ece_interval = metrics.bootstrap(
        [confidence, correct], lambda c, r: metrics.expected_calibration_error(np.asarray(c), np.asarray(r))
    )
    f1_interval = metrics.bootstrap([labels, predicted], lambda a, b: metrics.macro_f1(metrics.confusion(a, b)))
    groups = {name: _share(correct, [r.tone in tones for r in seen]) for name, tones in TONES.items()}
    known = [entry["value"] for entry in groups.values() if entry["total"]]
    return {
        "pictures": len(records),
        "accuracy": proportion(metrics.rate(correct)),
        "accuracy_judged": proportion(metrics.rate(correct[judged])),
        "macro_f1": {"value": metrics.macro_f1(table), "interval": f1_interval},
        "ece": {"value": metrics.expected_calibration_error(confidence, correct), "interval": ece_interval},
        "missed_injury": proportion(metrics.missed_injury(labels, predicted)),
        "missed_injury_judged": proportion(metrics.missed_injury(labels[judged], predicted[judged])),
        "full_thickness_milder": proportion(metrics.full_thickness_milder(labels, predicted)),
        "full_thickness_milder_judged": proportion(metrics.full_thickness_milder(labels[judged], predicted[judged])),
        "understaging_steps": metrics.understaging(labels, predicted),
        "abstained": proportion(metrics.rate(np.array([record.abstained is not None for record in records]))),
        "abstained_by_reason": _counts([record.abstained for record in records if record.abstained]),
        "tone_gap": {"value": max(known) - min(known) if known else math.nan},
        "tones": groups,
        "tone_classes": _tone_classes(seen, correct),
        "nuisances": {
            tag: _share(correct, [tag in r.tags for r in seen]) for tag in sorted({t for r in seen for t in r.tags})
        },
        "confusion": table.tolist(),
        "recall": {name: proportion(metrics.rate(predicted[labels == k] == k)) for k, name in enumerate(CLASSES)},
        "precision": {name: proportion(metrics.rate(labels[predicted == k] == k)) for k, name in enumerate(CLASSES)},
        "reliability": [asdict(each) for each in metrics.reliability(confidence, correct)],
        "selective": metrics.selective_accuracy(confidence, correct),
        "explanation": _explanation(records),
    }


def summarise_foreign(records: Sequence[JudgedPicture]) -> dict[str, Any]:
    """Return how many pictures that are no wound photographs were declined, for each family."""
    assert all(record.label == FOREIGN for record in records)
    families = sorted({record.tags[0] for record in records if record.tags})
    return {
        "pictures": len(records),
        "declined": proportion(metrics.rate(np.array([record.abstained is not None for record in records]))),
        "families": {
            name: proportion(
                metrics.rate(np.array([r.abstained is not None for r in records if r.tags[:1] == (name,)]))
            )
            for name in families
        },
        "taken_for": _counts(
            [CLASSES[int(np.argmax(record.probabilities))] for record in records if record.abstained is None]
        ),
    }


def proportion(value: metrics.Rate) -> dict[str, Any]:
    """Return a rate as plain data: `value`, `interval`, `hits`, `total`."""
    return {"value": value.value, "interval": value.interval, "hits": value.hits, "total": value.total}


def verdicts(sets: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str, float, float, bool]]:
    """Return (set, figure, reached, target, met) for every target, as measured."""
    rows = []
    for number, name in enumerate(("ordinary", "shifted")):
        for key, *targets, larger in TARGETS:
            if name in sets:
                reached, target = float(sets[name][key]["value"]), float(targets[number])
                rows.append((name, key, reached, target, reached >= target if larger else reached <= target))
    for name, values in sets.items():
        if "declined" in values:
            reached = float(values["declined"]["value"])
            rows.append((name, "declined", reached, FOREIGN_TARGET, reached >= FOREIGN_TARGET))
    return rows


def _share(correct: NDArray[np.bool_], chosen: Sequence[bool]) -> dict[str, Any]:
    return proportion(metrics.rate(correct[np.array(chosen, dtype=bool)]))


def _tone_classes(seen: Sequence[JudgedPicture], correct: NDArray[np.bool_]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            stage: _share(correct, [r.tone in tones and r.label == k for r in seen]) for k, stage in enumerate(CLASSES)
        }
        for name, tones in TONES.items()
    }


def _explanation(records: Sequence[JudgedPicture]) -> dict[str, Any]:
    pointed = [record.pointed for record in records if record.pointed is not None]
    energy = [record.energy for record in records if record.energy is not None]
    return {
        "pointing_game": proportion(metrics.rate(np.array(pointed, dtype=bool))),
        "energy_in_lesion": float(np.mean(energy)) if energy else math.nan,
    }


def _counts(names: Sequence[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}
