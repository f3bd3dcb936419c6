"""Logging of a long-running process: one line per event, in UTC, to stderr. Never patient data.

What others wrote makes no second line: every control in a message is shown, not sent.
"""

from __future__ import annotations

import logging
import time

from ops.terminal.plain import plain, plain_block

#: Levels of libraries whose INFO lines concern only their authors, or whose warnings mean no trouble: Faust's timers
#: warn when a commit takes longer than its interval, aiokafka when a transaction begins while the markers of the one
#: before are still being written.
QUIET = {
    "aiokafka": logging.WARNING,
    "aiokafka.consumer.group_coordinator": logging.ERROR,
    "aiokafka.producer.sender": logging.ERROR,
    "faust": logging.WARNING,
    "mode": logging.WARNING,
    "mode.timers": logging.ERROR,
    "httpx2": logging.WARNING,
    "streams.runtime.transport": logging.WARNING,
}


class PlainFormatter(logging.Formatter):
    """A message is one line, in which every character is visible; a traceback of ours has its lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line."""
        return plain(super().formatMessage(record))

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback behind it, indented: what an error says begins no line of the log."""
        first, *trace = plain_block(super().format(record)).split("\n")
        return "\n    ".join([first, *trace])


def configure(level: int = logging.INFO) -> None:
    """Set up logging for this process."""
    formatter = PlainFormatter("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(quiet)
