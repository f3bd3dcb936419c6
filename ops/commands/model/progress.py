"""What a person sees while a model is trained or measured."""

from __future__ import annotations

import sys

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from ops.terminal.console import plain_console
from ops.terminal.plain import echo


class Watch:
    """Progress on stderr: a bar for pictures, a line an epoch."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=plain_console(stderr=True), disable=not sys.stderr.isatty())
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> Watch:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def begin(self, what: str, total: int) -> None:
        """Start a new piece of work of `total` steps."""
        self._progress.reset(self._task, total=total, description=what)

    def advance(self, steps: int) -> None:
        """Some steps are done."""
        self._progress.advance(self._task, steps)

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        echo(line, err=True) if self._progress.disable else self._progress.console.print(line, highlight=False)
