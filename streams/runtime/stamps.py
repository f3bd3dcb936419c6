"""The time that a worker writes on its records, also where its own clock is wrong."""

from __future__ import annotations

import time
from collections.abc import Callable

from streams.runtime.outbox import Batch

#: A worker's clock that is off by less explains no refusal: a broker takes up to an hour ahead by default.
TOLERATED_MS = 60_000


class Stamps:
    """Milliseconds since the epoch: by the worker's clock, until a broker refuses that.

    A broker took the records that this worker has read, and gave them times or found theirs acceptable. The newest of
    them, and how long ago it was read, tell the broker's time well enough to be taken again.
    """

    def __init__(self, clock: Callable[[], float] = time.time, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`clock` gives seconds since the epoch, `elapsed` seconds of a clock that nobody sets."""
        self._clock = clock
        self._elapsed = elapsed
        #: Added to the worker's clock: 0 while that is believed.
        self.shift_ms = 0
        #: Time of the newest record read, less the elapsed time when it was seen.
        self._newest_ms: int | None = None

    def now(self) -> int:
        """What to write on the next records."""
        return int(self._clock() * 1000) + self.shift_ms

    def saw(self, batch: Batch) -> None:
        """Learn from the times of the inputs of a batch."""
        elapsed = int(self._elapsed() * 1000)
        for entry in batch.entries:
            if entry.raw is not None:
                seen = entry.raw.timestamp_ms - elapsed
                self._newest_ms = seen if self._newest_ms is None else max(self._newest_ms, seen)

    def correct(self) -> int | None:
        """Go by the broker's time from now on: the seconds by which the worker's clock is ahead of it.

        None where that changes nothing, since the clock agrees with the broker's or was corrected before.
        """
        if self._newest_ms is None:
            return None
        broker_ms = self._newest_ms + int(self._elapsed() * 1000)
        shift = broker_ms - int(self._clock() * 1000)
        if broker_ms <= 0 or abs(shift) < TOLERATED_MS or abs(shift - self.shift_ms) < TOLERATED_MS:
            return None
        self.shift_ms = shift
        return -shift // 1000
