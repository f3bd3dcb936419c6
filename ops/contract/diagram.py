"""The pipeline as a drawing of text; `python -m ops.contract` renews it in the pages that show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from streams import pipeline
from streams.pipeline import STAGES


def diagram() -> str:
    """One line per stage: the topics it reads, its name, the topics it writes (without the `vigia.` of each)."""
    rows = [(_short(stage.reads), stage.name, _short(stage.writes) or "messages to people") for stage in STAGES]
    rows.insert(0, ("reads", "STAGE", "writes"))
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [
        f"{read:<{widths[0]}} {'  ' if at == 0 else '─►'} {name:<{widths[1]}} {'  ' if at == 0 else '─►'} {written}"
        for at, (read, name, written) in enumerate(rows)
    ]
    asked = _short([pipeline.DEAD_LETTERS])
    return "\n".join(
        [
            *lines,
            "",
            f"every stage, in the same transaction as its output ─► {_short([pipeline.AUDIT])}",
            f"what a stage cannot process ─► {asked}, and {_short([pipeline.GRADINGS])} that ask people to look",
        ]
    )


def _short(names: Iterable[str]) -> str:
    names = [name.removeprefix("vigia.") for name in names]
    return _folded(names) if len(names) > 3 else ", ".join(names)


def _folded(names: Sequence[str]) -> str:
    """Topics of one family by their family."""
    families = dict.fromkeys(name.partition(".")[0] for name in names)
    return ", ".join(f"{family}.*" for family in families)
