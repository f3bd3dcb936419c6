"""What can go wrong with an embedded service, in one line a person can act on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class EmbeddedError(RuntimeError):
    """An embedded service could not be fetched, started or kept running."""


class FetchError(EmbeddedError):
    """A program could not be downloaded, or what came is not what was pinned."""


class StartError(EmbeddedError):
    """A service ended or stayed silent instead of becoming ready; carries the last lines of its log."""

    def __init__(self, service: str, reason: str, log: Path, last_lines: Sequence[str]) -> None:
        self.service = service
        self.log = log
        self.last_lines = tuple(last_lines)
        told = "".join(f"\n  {line}" for line in last_lines)
        super().__init__(f"{service} {reason}; its log is {log}{told}")


class PortTakenError(StartError):
    """Another process took the port between our look and the service's bind: start again with other ports."""
