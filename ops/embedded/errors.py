"""The errors of embedded services; each message says in one line what a person can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(RuntimeError):
    """An embedded service could not be fetched, started or kept running."""


class FetchError(EmbeddedError):
    """A program could not be downloaded, or its checksum is not the pinned one."""


class StartError(EmbeddedError):
    """A service ended or stayed silent instead of becoming ready; carries the last lines of its log."""

    def __init__(self, service: str, reason: str, log: Path, last_lines: Sequence[str]) -> None:
        self.service = service
        self.log = log
        self.last_lines = tuple(last_lines)
        end_of_log = "".join(f"\n  {line}" for line in last_lines)
        super().__init__(f"{service} {reason}; its log is {log}{end_of_log}")


class PortTakenError(StartError):
    """Another process took the port after it was found free and before the service bound it: retry with other ports."""
