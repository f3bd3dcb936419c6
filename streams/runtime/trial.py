"""A process of its own in which records are tried one by one: what kills it has killed a child, not a lane.

The parent's side. The child is this same program with another order (`streams.runtime.trial_child`); they speak JSON,
one line each way. It reads the record itself, so that what cannot even be read is found as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from schemas.envelope.raw import RawRecord, raw_of
from streams.runtime.lookout import FREEZE_S
from streams.runtime.lookout_child import LOOK_S, Stillness

logger = logging.getLogger(__name__)

#: Imports, schemas and a model, on a machine that is busy with restarts.
START_S = 120.0
#: Reading one record from the broker, decompressed.
READ_S = 20.0
#: Seconds beyond the limit of the stage, after which it gives a record up by itself.
HANDLE_S = 5.0
#: What the process says every `LOOK_S` while it handles a record and its event loop moves.
MOVES = "moves"
#: For a process that has closed its output to be gone.
DEAD_S = 2.0
#: Bytes of one line: a record as large as a dead letter holds, in base64.
MOST_LINE_BYTES = 32 * 1024 * 1024


class TrialUnavailableError(RuntimeError):
    """No trial process can be had: it says nothing about a record."""


class TrialVerdict(StrEnum):
    """What became of one record."""

    SOUND = "sound"
    #: The process died of it, or did not come back from it.
    KILLS = "kills_worker"
    #: It could not even be read.
    UNREADABLE = "unreadable"
    #: There is no record at this offset or behind it.
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Tried:
    """The outcome, and the record where it could be read; `offset` is where it lies."""

    verdict: TrialVerdict
    offset: int
    raw: RawRecord | None = None
    #: Whether somebody else, or the kernel for want of memory, has killed the process: maybe not for this record.
    from_outside: bool = False


class Trial:
    """Starts the child when it is needed, and a new one after each death. One task uses it at a time."""

    def __init__(self, command: Sequence[str], limit_s: float) -> None:
        """`command` starts the child; `limit_s` is how long the stage may handle one record."""
        self._command = command
        self._handle_s = limit_s + HANDLE_S
        self._child: Process | None = None
        self._killed_from_outside = False

    async def examine(self, topic: str, partition: int, offset: int, *, handle: bool = True) -> Tried:
        """Read the first record from this offset on, and let the stage handle it unless `handle` is False.

        Raises TrialUnavailableError.
        """
        await self._started()
        question = {"topic": topic, "partition": partition, "offset": offset, "handle": handle}
        try:
            read = await self._ask(question, READ_S)
        except TrialUnavailableError:
            return Tried(TrialVerdict.UNREADABLE, offset)
        if read.get("none"):
            return Tried(TrialVerdict.NONE, int(read["offset"]))
        if "record" not in read:
            raise TrialUnavailableError("the broker does not answer")
        raw = raw_of(read["record"])
        if not handle:
            return Tried(TrialVerdict.SOUND, raw.offset, raw)
        try:
            await self._handled()
        except TrialUnavailableError:
            return Tried(TrialVerdict.KILLS, raw.offset, raw, from_outside=self._killed_from_outside)
        return Tried(TrialVerdict.SOUND, raw.offset, raw)

    async def close(self) -> None:
        """End the child."""
        child, self._child = self._child, None
        if child is not None and child.returncode is None:
            with suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _started(self) -> None:
        if self._child is not None and self._child.returncode is None:
            return
        env = {name: value for name, value in os.environ.items() if name != "NOTIFY_SOCKET"}
        try:
            self._child = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=None, env=env, limit=MOST_LINE_BYTES
            )
        except OSError as error:
            raise TrialUnavailableError(f"cannot be started: {error.strerror}") from None
        _spare_the_parent(self._child.pid)
        await self._ask(None, START_S)

    async def _handled(self) -> None:
        """Wait until it has handled the record. Raises TrialUnavailableError where it dies of it, freezes or hangs."""
        assert self._child is not None
        loop = asyncio.get_running_loop()
        deadline, frozen = loop.time() + self._handle_s, Stillness(self._child.pid, FREEZE_S)
        while True:
            answer = asyncio.ensure_future(self._ask(None, max(0.0, deadline - loop.time())))
            try:
                while not (await asyncio.wait([answer], timeout=LOOK_S))[0]:
                    if frozen.look(moved=False):
                        raise TrialUnavailableError("it does not move")
            finally:
                if not answer.done():
                    answer.cancel()
                    await self.close()
            if MOVES not in answer.result():
                return
            frozen.look(moved=True)

    async def _ask(self, question: dict[str, Any] | None, within_s: float) -> dict[str, Any]:
        """The next answer. Raises TrialUnavailableError, and the child is gone, where none comes."""
        child = self._child
        assert child is not None
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            if question is not None:
                child.stdin.write(json.dumps(question).encode() + b"\n")
                await child.stdin.drain()
            line = await asyncio.wait_for(child.stdout.readline(), within_s)
            answer = json.loads(line)
        except (TimeoutError, OSError, ValueError) as error:
            if not isinstance(error, TimeoutError):
                # It has closed its end: it is dead, or will be at once.
                with suppress(TimeoutError):
                    await asyncio.wait_for(child.wait(), DEAD_S)
            self._killed_from_outside = child.returncode == -signal.SIGKILL
            await self.close()
            raise TrialUnavailableError(f"no answer ({type(error).__name__})") from None
        if not isinstance(answer, dict):
            await self.close()
            raise TrialUnavailableError("no answer")
        return answer


def _spare_the_parent(pid: int) -> None:
    # If memory runs out, the kernel shall kill the child rather than the worker that goes on beside it.
    with suppress(OSError), open(f"/proc/{pid}/oom_score_adj", "w") as file:
        file.write("1000")
