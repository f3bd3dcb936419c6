"""Everything that a command prints goes through here: what others wrote must not steer a terminal.

A role, a picture's address, a header of a dead letter may hold an escape sequence that clears the screen, writes to the
clipboard, or forges a line of ours. `plain` makes such characters visible; all that prints here, or through
`ops.terminal.console`, applies it.
`tests/unit/ops/test_terminal.py` holds that no command prints in another way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

import click

#: Controls (C0, DEL, C1), line and paragraph separators, marks and overrides of the writing direction, tags, surrogates
#: and invisible characters with which a text can be made to read as another one.
_UNSAFE = (
    "\x00-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff0-\ufffb\U000e0000-\U000e0fff"
)
_IN_LINE = re.compile(f"[{_UNSAFE}]")
#: What `plain_block` makes visible.
UNSAFE_IN_BLOCK = re.compile(f"[{_UNSAFE}]".replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))


def plain(value: object) -> str:
    """The value's text as one line in which every character is visible: `\\x1b` for ESC, `\\u202e` for an override."""
    return _IN_LINE.sub(_escape, str(value))


def plain_block(text: str) -> str:
    """As `plain`, for several lines that we have put together ourselves."""
    return UNSAFE_IN_BLOCK.sub(_escape, text)


def echo(line: object = "", *, err: bool = False) -> None:
    """Print one line."""
    click.echo(plain(line), err=err)


def echo_block(lines: Iterable[str] | str) -> None:
    """Print lines of our own making."""
    click.echo(plain_block(lines if isinstance(lines, str) else "\n".join(plain(line) for line in lines)))


def as_json(value: object, *, indent: int | None = None) -> str:
    """JSON in which Spanish letters are letters and unsafe characters are escaped, as JSON allows in every string."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, default=str)
    # json has escaped the controls below space; what is left of the unsafe ones can only stand in strings.
    return UNSAFE_IN_BLOCK.sub(_json_escape, text)


def echo_json(value: object, *, indent: int | None = None) -> None:
    """Print a value as JSON."""
    click.echo(as_json(value, indent=indent))


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _json_escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x10000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
