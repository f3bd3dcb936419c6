"""The evaluation as one HTML page: every figure with its interval, and what the model got right and wrong."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Final

import numpy as np

from inference.decode import decode
from inference.evaluation.charts import confusion_table, line_chart, table
from inference.evaluation.judging import JudgedPicture
from inference.evaluation.summary import verdicts
from inference.explain import overlay
from inference.findings import CLASSES, Finding
from inference.predictor import Predictor
from inference.synthetic.generator import picture

#: What each figure is called where people read it.
NAMES: Final[Mapping[str, str]] = {
    "accuracy": "Accuracy",
    "ece": "Expected calibration error",
    "missed_injury": "Injury called none",
    "full_thickness_milder": "Stage 3 or 4 called milder",
    "tone_gap": "Accuracy gap between skin tone groups",
    "abstained": "Wounds declined",
    "declined": "Foreign pictures declined",
}
_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:.8rem 0}td,th{border:1px solid #d5dbe1;padding:.2rem .55rem;text-align:left}
.confusion td{text-align:right}
figure{display:inline-block;margin:.4rem;vertical-align:top;font-size:12px;max-width:300px}
.grid{stroke:#e5e9ed}svg text{font-size:10px}.no{color:#a4301c;font-weight:600}.yes{color:#2b6e3f;font-weight:600}
img{width:150px;border-radius:3px}.pictures figure{max-width:150px}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A picture of the report: JPEG bytes and what to say below it."""

    jpeg: bytes
    caption: str


def percent(entry: Mapping[str, Any]) -> str:
    """Return a figure with its interval, as `88.5 % (87.4–89.5)`."""
    value = float(entry["value"])
    if value != value:
        return "–"
    text = f"{100 * value:.1f} %"
    if "interval" in entry:
        low, high = entry["interval"]
        text += f" ({100 * low:.1f}–{100 * high:.1f})"
    return text


def gallery(
    records: Sequence[JudgedPicture], predictor: Predictor, *, mistakes: int = 14
) -> tuple[list[Shown], list[Shown]]:
    """Return one recognised picture a class with its heat map, and the most confident mistakes."""
    seen = [record for record in records if record.probabilities and record.series and record.abstained is None]
    right = [
        next((r for r in seen if r.label == k and int(np.argmax(r.probabilities)) == k), None)
        for k in range(len(CLASSES))
    ]
    wrong = sorted(
        (r for r in seen if int(np.argmax(r.probabilities)) != r.label),
        key=lambda r: max(r.probabilities),
        reverse=True,
    )
    return [_show(r, predictor) for r in right if r is not None], [_show(r, predictor) for r in wrong[:mistakes]]


def _show(record: JudgedPicture, predictor: Predictor) -> Shown:
    assert record.series is not None
    made = picture(record.series.seed, record.series.start, distribution=record.series.distribution)
    data = made.jpeg()
    result = predictor.predict([data])[0]
    called = int(np.argmax(record.probabilities))
    sure = 100 * max(record.probabilities)
    caption = f"{made.stage}, Monk {made.monk}: called {CLASSES[called]} ({sure:.0f} %)"
    if isinstance(result, Finding) and result.heat is not None and made.stage != "none":
        data = overlay(decode(data), result.heat, size=256)
    return Shown(jpeg=data, caption=caption)


def html(evaluation: Mapping[str, Any], pictures: Mapping[str, tuple[Sequence[Shown], Sequence[Shown]]]) -> str:
    """Return the page. `evaluation`: `model_version`, `command`, `sets`; `pictures`: right and wrong ones by set."""
    sets: Mapping[str, Mapping[str, Any]] = evaluation["sets"]
    wounds = {name: values for name, values in sets.items() if "accuracy" in values}
    version = escape(str(evaluation["model_version"]))
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{version}</title><style>{_STYLE}</style>",
        f"<h1>Evaluation of {version}</h1><p>{escape(str(evaluation['statement']))}</p>",
        f"<p>Made by <code>{escape(str(evaluation['command']))}</code>.</p><h2>Against the targets</h2>",
        _verdicts(sets),
        "<h2>Figures</h2>",
        table(["", *wounds], [[NAMES.get(key, key), *(percent(v[key]) for v in wounds.values())] for key in _FIGURES]),
        "<h2>Calibration and selective prediction</h2>",
        line_chart(
            "Reliability: is the model right as often as it is sure?", "confidence", "accuracy",
            {n: [(b["confidence"], b["accuracy"]) for b in v["reliability"]] for n, v in wounds.items()}, diagonal=True,
        ),
        line_chart(
            "Accuracy when only the surest share is judged", "coverage", "accuracy",
            {n: [tuple(point) for point in v["selective"]] for n, v in wounds.items()}, diagonal=False,
        ),
    ]  # fmt: skip
    for name, values in wounds.items():
        parts.append(f"<h2>{escape(name.capitalize())} set, {values['pictures']} pictures</h2>")
        parts.append(confusion_table("True class by row, called class by column", CLASSES, values["confusion"]))
        rows = [[k, percent(values["recall"][k]), percent(values["precision"][k])] for k in CLASSES]
        parts.append(table(["class", "recall", "precision"], rows))
        tones = values["tone_classes"]
        parts.append(
            table(
                ["recall by skin tone", "all", *CLASSES],
                [[t, percent(values["tones"][t]), *(percent(tones[t][k]) for k in CLASSES)] for t in tones],
            )
        )
        parts.append(table(["accuracy with", "", "pictures"], _nuisances(values)))
        right, wrong = pictures.get(name, ((), ()))
        parts.append(_pictures("Recognised, with the evidence for the class", right))
        parts.append(_pictures("Most confident mistakes", wrong))
    parts.append("<h2>Pictures that are no wound photographs</h2>")
    for name, values in sets.items():
        if "declined" in values:
            rows = [[family, percent(entry)] for family, entry in values["families"].items()]
            parts.append(f"<h3>{escape(name)}: {percent(values['declined'])} of {values['pictures']} declined</h3>")
            parts.append(table(["kind", "declined"], rows))
    return "\n".join(parts) + "</html>\n"


_FIGURES: Final = (
    "accuracy", "accuracy_judged", "macro_f1", "ece", "missed_injury", "missed_injury_judged", "full_thickness_milder",
    "full_thickness_milder_judged", "tone_gap", "abstained",
)  # fmt: skip


def _verdicts(sets: Mapping[str, Mapping[str, Any]]) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}</td><td>{NAMES[key]}</td><td>{100 * reached:.1f} %</td><td>{100 * target:.0f} %</td>"
        f"<td class='{'yes' if met else 'no'}'>{'reached' if met else 'missed'}</td></tr>"
        for name, key, reached, target, met in verdicts(sets)
    )
    return f"<table><tr><th>set</th><th>figure</th><th>reached</th><th>target</th><th></th></tr>{rows}</table>"


def _nuisances(values: Mapping[str, Any]) -> list[list[str]]:
    return [
        [tag, percent(entry), str(entry["total"])] for tag, entry in values["nuisances"].items() if entry["total"] >= 20
    ]


def _pictures(title: str, shown: Sequence[Shown]) -> str:
    figures = "".join(
        f"<figure><img alt='' src='data:image/jpeg;base64,{base64.b64encode(each.jpeg).decode()}'>"
        f"<figcaption>{escape(each.caption)}</figcaption></figure>"
        for each in shown
    )
    return f"<h3>{escape(title)}</h3><div class='pictures'>{figures}</div>" if figures else ""
