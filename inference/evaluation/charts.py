"""The few drawings of a report, as inline SVG: no library, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

_W: Final = 300
_M: Final = 36


def line_chart(
    title: str, x_label: str, y_label: str, lines: dict[str, Sequence[tuple[float, float]]], *, diagonal: bool
) -> str:
    """Return an SVG of lines in the unit square; `diagonal` draws the line of equality."""
    colours = ("#1f5a96", "#c0562f", "#3d7d4f")
    parts = [f'<svg viewBox="0 0 {_W} {_W}" width="{_W}" role="img" aria-label="{escape(title)}">']
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = _x(tick), _y(tick)
        parts.append(f'<line x1="{x}" y1="{_y(0)}" x2="{x}" y2="{_y(1)}" class="grid"/>')
        parts.append(f'<line x1="{_x(0)}" y1="{y}" x2="{_x(1)}" y2="{y}" class="grid"/>')
        parts.append(f'<text x="{x}" y="{_y(0) + 13}" text-anchor="middle">{tick:g}</text>')
        parts.append(f'<text x="{_x(0) - 5}" y="{y + 4}" text-anchor="end">{tick:g}</text>')
    if diagonal:
        parts.append(
            f'<line x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}" stroke="#999" stroke-dasharray="4 3"/>'
        )
    for number, (name, points) in enumerate(lines.items()):
        colour = colours[number % len(colours)]
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{_x(x):.1f}" cy="{_y(y):.1f}" r="2.4" fill="{colour}"/>' for x, y in points]
        parts.append(f'<text x="{_x(0) + 8}" y="{_y(1) + 14 + 14 * number}" fill="{colour}">{escape(name)}</text>')
    parts.append(f'<text x="{_W / 2}" y="{_W - 6}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(
        f'<text x="11" y="{_W / 2}" text-anchor="middle" transform="rotate(-90 11 {_W / 2})">{escape(y_label)}</text>'
    )
    return f"<figure>{''.join(parts)}</svg><figcaption>{escape(title)}</figcaption></figure>"


def confusion_table(title: str, names: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Return an HTML table of a confusion matrix, shaded by the share of its row; true classes by row."""
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for name, row in zip(names, counts, strict=True):
        total = max(1, sum(row))
        cells = "".join(f'<td style="background:rgba(31,90,150,{count / total:.2f})">{count}</td>' for count in row)
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return f"<table class='confusion'><caption>{escape(title)}</caption><tr><th></th>{head}</tr>{''.join(rows)}</table>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return an HTML table."""
    top = "".join(f"<th>{escape(str(cell))}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def _x(value: float) -> float:
    return _M + value * (_W - _M - 10)


def _y(value: float) -> float:
    return _W - _M - value * (_W - _M - 10)
