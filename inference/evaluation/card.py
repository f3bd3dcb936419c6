"""The model card: what to know before relying on a version, written from its evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inference.evaluation.report import NAMES, percent
from inference.evaluation.summary import verdicts
from inference.findings import CLASSES

_GENERATED = (
    "**Trained and tested on generated pictures only.** No clinical photograph was used, because none can be had for "
    "this project. The figures below say how well the model tells generated pictures apart; they say nothing about "
    "clinical accuracy. Before any use on patients it must be trained and evaluated on photographs of one's own "
    "(`vigia model train --pictures FOLDER`)."
)
_OWN = "Trained on pictures supplied by the operator, split by patient. The figures hold for pictures like those only."


def statement(settings: Mapping[str, Any]) -> str:
    """Return the sentence that must stand before every figure, in plain text."""
    generated = settings["training"]["origin"]["kind"] == "generated"
    return (_GENERATED if generated else _OWN).replace("**", "").replace("`", "")


def card(settings: Mapping[str, Any], evaluation: Mapping[str, Any]) -> str:
    """Return the card in Markdown. `settings`: `model.json`; `evaluation`: what `vigia model evaluate` measured."""
    sets: Mapping[str, Mapping[str, Any]] = evaluation["sets"]
    training = settings["training"]
    generated = training["origin"]["kind"] == "generated"
    wounds = {name: values for name, values in sets.items() if "accuracy" in values}
    lines = [
        f"# Model card: {evaluation['model_version']}",
        "",
        _GENERATED if generated else _OWN,
        "",
        "Decision support for clinicians; not a diagnosis, not a medical device.",
        "",
        "## What it does",
        "",
        f"One photograph in; one of {', '.join(CLASSES)} with a calibrated probability out, or an abstention with its "
        "reason (too dark, too bright, blurred, odd shape, not a wound, unfamiliar), and a map of where the evidence "
        f"lies. It looks at {settings['side']}×{settings['side']} pixels: fine structures of a small wound in a wide "
        "picture are lost. Blanching, warmth, depth and smell cannot be seen in a picture; the stages rest on them.",
        "",
        "## How it was made",
        "",
        f"- Network: residual CNN, {training['parameters']:,} parameters; scores are the mean of a map of evidence.",
        f"- Pictures: {training['pictures']:,} of wounds and skin, {training['foreign_pictures']:,} that are none; "
        f"{training['validation_pictures']:,} for temperature and thresholds. Origin: {_origin(training['origin'])}.",
        f"- Started from: {training['started_from'] or 'random weights'}. Loss: cross-entropy plus the expected "
        "cost of the confusion; a step towards a milder class costs three times one towards a worse class.",
        f"- Temperature {settings['temperature']}; the rejection thresholds decline "
        f"{100 * settings['declined_share']:.0f} % of the validation wounds by design.",
        "",
        "## What was measured",
        "",
        "95 % intervals in brackets: Wilson's for proportions, bootstrap for the rest. *Ordinary*: other seeds of the "
        "distribution that was trained on. *Shifted*: other light, cameras, blur, linen and things, never trained on."
        if generated
        else "95 % intervals in brackets: Wilson's for proportions, bootstrap for the rest. Test patients only.",
        "",
        *_table(
            ["", *wounds],
            [[NAMES[key], *(percent(v[key]) for v in wounds.values())] for key in NAMES if key != "declined"],
        ),
        "",
        "Against the targets set beforehand:",
        "",
        *_table(
            ["set", "figure", "reached", "target", ""],
            [
                [
                    name,
                    NAMES[key],
                    f"{100 * reached:.1f} %",
                    f"{100 * target:.0f} %",
                    "reached" if met else "**missed**",
                ]
                for name, key, reached, target, met in verdicts(sets)
            ],
        ),
    ]
    for name, values in wounds.items():
        lines += ["", f"### {name.capitalize()} set", ""]
        rows = [[k, percent(values["recall"][k]), percent(values["precision"][k])] for k in CLASSES]
        lines += _table(["class", "recall", "precision"], rows)
        tones = [
            [t, percent(values["tones"][t]), *(_short(v[k]) for k in CLASSES)]
            for t, v in values["tone_classes"].items()
        ]
        lines += ["", "Recall by skin tone (Monk scale):", "", *_table(["tone", "all", *CLASSES], tones)]
    lines += ["", "## Pictures that are no wound photographs", ""]
    foreign = [[n, str(v["pictures"]), percent(v["declined"])] for n, v in sets.items() if "declined" in v]
    lines += _table(["set", "pictures", "declined"], foreign)
    lines += [
        "",
        "## Where it fails",
        "",
        *(f"- {sentence}" for sentence in _weaknesses(wounds)),
        "- Several lesions in one picture: only one class is given. Mucosal lesions are not staged.",
        "",
        f"Reproduce: `{evaluation['command']}`",
        "",
    ]
    return "\n".join(lines)


def _origin(origin: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in origin.items())


def _short(entry: Mapping[str, Any]) -> str:
    value = float(entry["value"])
    return "–" if value != value else f"{value:.2f}"


def _weaknesses(wounds: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Name the weakest class and the weakest class and tone of each set."""
    sentences = []
    for name, values in wounds.items():
        weakest = min(CLASSES, key=lambda k: _value(values["recall"][k]))
        sentences.append(
            f"{name.capitalize()} set, weakest class: {weakest}, recall {percent(values['recall'][weakest])}."
        )
        cells = [(tone, k, entry) for tone, row in values["tone_classes"].items() for k, entry in row.items()]
        tone, stage, entry = min(cells, key=lambda cell: _value(cell[2]))
        sentences.append(f"{name.capitalize()} set, weakest class and tone: {stage} on {tone} skin, {percent(entry)}.")
    return sentences


def _value(entry: Mapping[str, Any]) -> float:
    value = float(entry["value"])
    return 2.0 if value != value else value


def _table(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]
