"""The signs of life of a worker: its event loop runs, its stage ends each batch, and what waits is taken up."""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from streams import metrics
from streams.liveness import BEAT_S, EXIT_STALLED, STALL_S, STDERR, Heart, Progress

if TYPE_CHECKING:
    from streams.runtime.app import StageApp

logger = logging.getLogger(__name__)


class Pulse:
    """Watches one worker; `beating` runs beside it."""

    def __init__(self, app: StageApp, stall_s: float = STALL_S) -> None:
        """`stall_s`: seconds without moving after which the process ends."""
        self._app = app
        self.heart = Heart("event loop", stall_s=stall_s)
        #: Whether the group has dealt, and what it dealt was taken over.
        self.taken_over = False
        self._leaving = False
        # A record that waits for too long is given up (`limit`), and that counts as a move. Records that nobody takes
        # up may wait for a broker that is paused or restarts.
        self._progress = Progress(max(stall_s, app.stage.limit_s + stall_s / 2), 2 * stall_s)

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Around the work on one batch."""
        self._progress.begin(time.monotonic())
        try:
            yield
        finally:
            self._progress.end(time.monotonic())

    def moved(self) -> None:
        """A part of the batch is done, or was given up."""
        if self.busy:
            self._progress.begin(time.monotonic())

    @property
    def busy(self) -> bool:
        """Whether a batch is being worked on."""
        return self._progress.busy

    async def beating(self) -> None:
        """Beat while all moves; end the process when the stage does not. Runs until cancelled."""
        try:
            while True:
                now = time.monotonic()
                positions, waiting = self._app.unread()
                self._progress.saw(positions, waiting, now)
                stalled = self._progress.stalled(now)
                if stalled is not None:
                    self._end(stalled)
                self.heart.beat("event loop")
                self._app.lookout.beat()
                self._replace_where_needed()
                await asyncio.sleep(BEAT_S / 2)
        finally:
            self.heart.stop()

    def healthy(self) -> tuple[bool, str]:
        """For `/healthz`: end this process and start another if not."""
        well, text = self.heart.check()
        stalled = self._progress.stalled(time.monotonic()) or self._standing_still(self.heart.stall_s)
        return (well, text) if stalled is None else (False, stalled)

    def ready(self) -> tuple[bool, str]:
        """For `/readyz`: whether it has taken over its partitions. A spare worker, which has none, is ready too."""
        if self.taken_over:
            return True, f"holds {len(self._app.outbox.partitions)} partitions"
        return False, "has not taken over its partitions yet"

    def _replace_where_needed(self) -> None:
        """Ask this process to stop in good order: its work is answered, and only a new one has all that it needs."""
        stage = self._app.stage
        for part, still_s in stage.still_s().items():
            metrics.STILL.labels(stage.name, part).set(still_s)
        away_s = stage.longest_s()
        if away_s > stage.patience_s + self.heart.stall_s:
            self._stop(f"a thread has not come back for {away_s:.0f} s")
        # As long as records may wait untaken: a broker that restarts confirms no tick either.
        elif (still := self._standing_still(2 * self.heart.stall_s)) is not None:
            self._stop(still)

    def _standing_still(self, limit_s: float) -> str | None:
        """What beside the records stands still for longer than this, in one line."""
        late = {part: still_s for part, still_s in self._app.stage.still_s().items() if still_s > limit_s}
        return ", ".join(f"the {part} has not moved for {still_s:.0f} s" for part, still_s in late.items()) or None

    def _stop(self, reason: str) -> None:
        if not self._leaving:
            self._leaving = True
            logger.error("%s: %s; stopping", self._app.stage.name, reason)
            os.kill(os.getpid(), signal.SIGTERM)

    def _end(self, stalled: str) -> None:
        # No goodbye: whatever stands still would keep it. A new owner of the partitions aborts what is open.
        logger.error("%s: %s; ending this process", self._app.stage.name, stalled)
        logging.shutdown()
        faulthandler.dump_traceback(file=STDERR)
        os._exit(EXIT_STALLED)
