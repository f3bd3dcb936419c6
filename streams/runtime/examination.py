"""Examines the first record of a window in a process of its own, as often as it takes to believe what that says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from streams.runtime.suspects import Window
from streams.runtime.trial import Trial, TrialUnavailableError, TrialVerdict, Tried

logger = logging.getLogger(__name__)

#: How often a trial is begun anew that could not be held at all, and the pause before it, in seconds.
TRIES, PAUSE_S = 5, 2.0
#: Why a record is laid aside.
REASONS: Mapping[TrialVerdict, str] = {
    TrialVerdict.KILLS: "a process that tried it alone died of it, or did not come back within its time",
    TrialVerdict.UNREADABLE: "a process that read it alone died of it, or did not come back within its time",
}


async def examined(trial: Trial | None, window: Window) -> Tried | None:
    """What becomes of the first record of the window; None where that cannot be told."""
    untried = Tried(TrialVerdict.SOUND, window.offset) if window.first is not None else None
    if trial is None:
        return untried
    topic, partition = window.tp
    again = False
    for _ in range(TRIES):
        try:
            tried = await trial.examine(topic, partition, window.offset, handle=window.first is None)
        except TrialUnavailableError as error:
            logger.error("records of %s[%s] cannot be tried: %s", topic, partition, error)
            await asyncio.sleep(PAUSE_S)
            continue
        if not again and (tried.verdict is TrialVerdict.UNREADABLE or tried.from_outside):
            # Once more: a process may also have been killed by chance, or for want of memory.
            again = True
            continue
        return tried
    return untried
