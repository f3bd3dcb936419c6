"""The error for input that commands refuse."""

from __future__ import annotations

import click


class BadInput(click.ClickException):
    """Input that is no case; one line on stderr, exit code 2. Its text holds no value: that may be patient data."""

    exit_code = 2
