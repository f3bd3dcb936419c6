"""Outcomes as a table for people and as JSON for programs; those of two versions side by side."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ops.attacks.attack import AttackOutcome

HEAD = ("attack", "review", "waits s", "asked", "restarts", "MiB", "defects")


def as_json(outcomes: Iterable[AttackOutcome]) -> str:
    """A JSON object, one member per attack."""
    found = {one.name: {**asdict(one), "defects": list(one.defects)} for one in outcomes}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def of_one(outcome: AttackOutcome) -> str:
    """A line of Markdown for the table with `HEAD`."""
    row = _cells(asdict(outcome))
    return _line((outcome.name, outcome.origin, *row, _said(outcome)))


def _said(outcome: AttackOutcome) -> str:
    return "; ".join((*outcome.defects, *([f"refused: {outcome.refused}"] if outcome.refused else ()))) or "none"


def of_two(before: Path, after: Path) -> str:
    """Both versions' outcomes as one Markdown table. Raises OSError, ValueError."""
    old, new = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
    lines = [
        _line(
            (
                "attack",
                "review",
                *(f"{name}, {when}" for when in ("before", "after") for name in HEAD[2:6]),
                "what else",
            )
        ),
        _line(["---"] * 11),
    ]
    for name, one in new.items():
        earlier = old.get(name)
        was = ("not run",) * 4 if earlier is None else _cells(earlier)
        told = [f"before: {each}" for each in (() if earlier is None else earlier["defects"]) if _tells(each)]
        told += [f"after: {each}" for each in one["defects"]]
        lines.append(_line((name, one["origin"], *was, *_cells(one), "; ".join(told))))
    return "\n".join(lines) + "\n"


def _tells(defect: str) -> bool:
    """Whether a defect says what no column says."""
    return not defect.startswith(("the emergency", "nobody was asked about")) and not defect.endswith("MiB")


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    waited = "never" if one["waited_s"] is None else f"{one['waited_s']:.1f}"
    asked = f"{one['sent'] - one['unanswered']} of {one['sent']}" if one["sent"] else "–"
    return waited, asked, str(one["restarts"]), f"{one['peak_mib']:.0f}"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
