"""Waiting for something that is away, but not for ever: one deadline, handed down, with growing pauses."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from streams import metrics

T = TypeVar("T")

#: First pause and longest. Short enough that a registry restart of a second costs an emergency little; the cap keeps a
#: long outage from turning the end of it into a wait of its own.
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 2.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock after which nobody waits any more."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """`seconds` from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Seconds left, 0 when passed."""
        return max(0.0, self.at - time.monotonic())


def pauses() -> Callable[[], float]:
    """The next pause at each call: doubling, capped, with jitter so that workers do not knock in step."""
    pause = FIRST_PAUSE_S

    def following() -> float:
        nonlocal pause
        current, pause = pause, min(pause * 2, LONGEST_PAUSE_S)
        return current * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret

    return following


async def until_deadline(
    call: Callable[[], Awaitable[T]], retry_on: type[Exception], deadline: Deadline, *, stage: str, dependency: str
) -> T:
    """The value of `call`, tried again on `retry_on` until the deadline; then that error is raised."""
    pause = pauses()
    while True:
        try:
            return await call()
        except retry_on:
            wait = pause()
            if deadline.left() < wait:
                raise
            metrics.RETRIES.labels(stage, dependency).inc()
            await asyncio.sleep(wait)
