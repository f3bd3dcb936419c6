"""Verifying more than memory holds: facts are laid on disk by case as they are read, and verified part by part.

Everything is read once, however many parts there are, so the cost grows with the entries. The files hold ids, hashes
and places, as much as the audit topic tells, and go when the verification ends.
"""

from __future__ import annotations

import marshal
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from schemas.errors import OneLineError
from streams.audit.facts import EntryFact, RecordFact, Unreadable
from streams.audit.limits import Limits
from streams.audit.report import Report
from streams.audit.verifier import ChainVerifier
from streams.pipeline import REMARKED_ONLY

#: Bytes gathered for a part before they are written: a file is open only for that long, so parts need no open files.
BUFFER = 16 << 10

_RECORD, _ENTRY, _TOMBSTONE, _UNREADABLE = range(4)


class NoRoomError(OneLineError):
    """The facts could not be laid down; one line that says where and what to do."""


class Parts(AbstractContextManager["Parts"]):
    """Takes what a ChainVerifier takes, in the same order, and gives the same report."""

    def __init__(self, limits: Limits, count: int) -> None:
        """`count` parts. Raises NoRoomError, as every method does."""
        self._limits = limits
        self._count = count
        #: What every part needs to know; few, since these topics are compacted.
        self._everywhere: list[RecordFact] = []
        self._buffers: dict[int, bytearray] = defaultdict(bytearray)
        try:
            self._folder = TemporaryDirectory(prefix="vigia-audit-")
        except OSError as error:
            raise _no_room(error, "the folder for temporary files") from None

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    def record(self, fact: RecordFact) -> None:
        """Take in a record."""
        if fact.topic in REMARKED_ONLY:
            self._everywhere.append(fact)
        else:
            self._lay(_RECORD, fact.case_id, fact)

    def entry(self, fact: EntryFact) -> None:
        """Take in an audit entry."""
        self._lay(_ENTRY, fact.case_id, fact)

    def tombstone(self, fact: Unreadable) -> None:
        """Take in the deletion of an audit entry."""
        self._lay(_TOMBSTONE, fact.case_id, fact)

    def unreadable(self, fact: Unreadable) -> None:
        """Take in a record of the audit topic that is no entry."""
        self._lay(_UNREADABLE, fact.case_id, fact)

    def report(self) -> Report:
        """What was found. Call it once, after the last entry."""
        whole = Report()
        for part in range(self._count):
            verifier = ChainVerifier(self._limits)
            for record in self._everywhere:
                verifier.record(record)
            for kind, fact in self._laid(part):
                if kind == _RECORD:
                    verifier.record(RecordFact(*fact))
                elif kind == _ENTRY:
                    verifier.entry(EntryFact(*fact))
                elif kind == _TOMBSTONE:
                    verifier.tombstone(Unreadable(*fact))
                else:
                    verifier.unreadable(Unreadable(*fact))
            whole.add(verifier.report())
        return whole

    def _lay(self, kind: int, case_id: bytes | None, fact: tuple[Any, ...]) -> None:
        # What belongs to no case is in the first part.
        part = int.from_bytes((case_id or b"")[:4], "big") % self._count
        buffer = self._buffers[part]
        buffer += marshal.dumps((kind, tuple(fact)))
        if len(buffer) >= BUFFER:
            self._write(part)

    def _write(self, part: int) -> None:
        try:
            with self._file(part).open("ab") as file:
                file.write(self._buffers.pop(part, b""))
        except OSError as error:
            raise _no_room(error, self._folder.name) from None

    def _laid(self, part: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
        self._write(part)
        path = self._file(part)
        try:
            with path.open("rb") as file:
                end = path.stat().st_size
                while file.tell() < end:
                    # Of a folder that only this process's user may write to, and that this object made.
                    yield marshal.load(file)  # noqa: S302
            path.unlink()
        except OSError as error:
            raise _no_room(error, self._folder.name) from None

    def _file(self, part: int) -> Path:
        return Path(self._folder.name, str(part))


def _no_room(error: OSError, where: str) -> NoRoomError:
    return NoRoomError(
        f"{where} does not take what does not fit into memory: {error.strerror}; "
        "set TMPDIR to a folder with room, or give --memory more MiB"
    )
