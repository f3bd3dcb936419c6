"""Rich output in which nothing that others wrote steers a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from ops.terminal.plain import UNSAFE_IN_BLOCK, plain, plain_block


def plain_console(*, stderr: bool = False, **settings: Any) -> Console:
    """A Rich console that interprets no markup and prints no unsafe character, in tables and progress bars too."""
    return _PlainConsole(stderr=stderr, markup=False, emoji=False, highlight=False, **settings)


class _PlainConsole(Console):
    def render_str(self, text: str, **settings: Any) -> Text:
        # A string is one line, in a table's cell too; whoever wants several makes a Text.
        return super().render_str(plain(text), **settings)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control is None and UNSAFE_IN_BLOCK.search(segment.text):
                yield Segment(plain_block(segment.text), segment.style)
            else:
                yield segment
