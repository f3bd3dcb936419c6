"""What other files repeat of the pipeline, written from its declaration: `python -m ops.contract`.

A stage, a topic or a field that was added to streams/pipeline.py, streams/topics.py or schemas/avsc is then also in the
description for other systems, in the drawings, in the containers, and in the alerts. A test compares.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ops.compose.workers import services
from ops.contract import asyncapi
from ops.contract.diagram import diagram
from streams.pipeline import STAGES, StageDeclaration

ROOT = Path(__file__).parents[2]
DRAWN = ("<!-- pipeline: written by python -m ops.contract -->\n", "<!-- end of pipeline -->")
WORKERS = ("  # Workers of the stages, written by python -m ops.contract.\n", "  # End of the workers of the stages.\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """A stretch of a file: all between `before` and `after` (regular expressions, each found once) is `text()`."""

    path: str
    before: str
    after: str
    text: Callable[[], str]

    def renewed(self, page: str) -> str:
        """The page with the stretch written anew. Raises ValueError where the page has no room for it, or two."""
        stretch = re.compile(f"({self.before})(.*?)({self.after})", re.DOTALL)
        if len(stretch.findall(page)) != 1:
            raise ValueError(f"{self.path} must have one stretch between {self.before!r} and {self.after!r}")
        return stretch.sub(lambda found: found[1] + self.text() + found[3], page)


def _between(path: str, marks: tuple[str, str], text: Callable[[], str]) -> Repetition:
    return Repetition(path=path, before=re.escape(marks[0]), after=re.escape(marks[1]), text=text)


def _names(stages: Iterable[StageDeclaration]) -> str:
    return "|".join(stage.name for stage in stages)


def _drawing() -> str:
    return f"```\n{diagram()}\n```\n"


REPETITIONS: tuple[Repetition, ...] = (
    _between("README.md", DRAWN, _drawing),
    _between("docs/architecture.md", DRAWN, _drawing),
    Repetition(path="docs/asyncapi.yaml", before=r"\A", after=r"\Z", text=asyncapi.render),
    _between("compose.kafka.yml", WORKERS, services),
    Repetition(
        path="ops/compose/prometheus.yml",
        before=r"- job_name: vigia-worker\n    dns_sd_configs:\n      - names: \[",
        after=r"\]",
        text=lambda: ", ".join(stage.name for stage in STAGES),
    ),
    # VigiaNobodyConsuming: every stage, once its group exists or is expected.
    Repetition(
        path="ops/monitoring/alerts.yml",
        before=r'expr: kafka_consumergroup_members\{consumergroup=~"vigia-\(',
        after=r'\)"\} == 0',
        text=lambda: _names(STAGES),
    ),
    # VigiaMetricsAbsent: every stage that always runs.
    Repetition(
        path="ops/monitoring/alerts.yml",
        before=r'label_replace\(kafka_consumergroup_members\{consumergroup=~"vigia-\(',
        after=r'\)"\}, "stage"',
        text=lambda: _names(stage for stage in STAGES if stage.needs is None),
    ),
)


def renewed(root: Path = ROOT) -> dict[Path, str]:
    """Path → what the file must say, of every file that repeats something of the pipeline."""
    pages: dict[Path, str] = {}
    for each in REPETITIONS:
        path = root / each.path
        pages[path] = each.renewed(pages.get(path) or path.read_text(encoding="utf-8"))
    return pages
