"""The pipeline as a drawing of text; `python -m ops.contract.diagram` renews it in the pages that show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from streams import pipeline
from streams.pipeline import STAGES

PAGES = ("README.md", "docs/architecture.md")
BEGIN, END = "<!-- pipeline: written by python -m ops.contract.diagram -->", "<!-- end of pipeline -->"


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


def renew(text: str) -> str:
    """A page with its drawing made anew. Raises ValueError where it has no room for one."""
    before, _, rest = text.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f"no room between {BEGIN} and {END}")
    return f"{before}{BEGIN}\n```\n{diagram()}\n```\n{END}{after}"


def _short(names: Iterable[str]) -> str:
    names = [name.removeprefix("vigia.") for name in names]
    return _folded(names) if len(names) > 3 else ", ".join(names)


def _folded(names: Sequence[str]) -> str:
    """Topics of one family by their family."""
    families = dict.fromkeys(name.partition(".")[0] for name in names)
    return ", ".join(f"{family}.*" for family in families)


if __name__ == "__main__":
    for page in PAGES:
        path = Path(__file__).parents[2] / page
        path.write_text(renew(path.read_text(encoding="utf-8")), encoding="utf-8")
