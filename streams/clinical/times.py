"""Which times of a case can be: by the clock of whoever receives it, and as long as anything of it would be kept."""

from __future__ import annotations

from datetime import datetime, timedelta

#: A case that was captured so long ago is older than anything that is kept of it: a clock that was never set, or a
#: picture that nobody waits for. `streams.topics.CLINICAL_RETENTION_MS`, as a test holds.
OLDEST = timedelta(days=90)
#: Times may lie so far ahead of the clock by which they are judged. A broker takes no more by default either.
AHEAD = timedelta(hours=1)


def impossible(captured_at: datetime, published_at: datetime, received_at: datetime) -> str | None:
    """What is wrong with the times of a case that was received then, as the end of a sentence; None: nothing.

    All are aware. `received_at` is the broker's stamp, so that a replay judges alike.
    """
    if published_at > received_at + AHEAD:
        return "was published after it was received: a clock is wrong"
    if captured_at > received_at + AHEAD:
        return "was captured after it was received: a clock is wrong"
    if captured_at < received_at - OLDEST:
        return f"was captured more than {OLDEST.days} days before it was received: is that clock right?"
    return None
