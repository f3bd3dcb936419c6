"""Ends what a stage does with a record that takes too long, so that no record holds up those behind it for ever.

Only what waits can be ended in this way; whoever keeps the event loop from running is ended with its process (`pulse`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from streams.runtime.records import EventT, Input, Result, StateT
from streams.runtime.stage import Stage

#: Seconds between two looks. A look that comes late counts as two at most: a process that was stopped, or got no
#: processor, has not used up the time of what it was handling.
LOOK_S = 0.5


class OverdueError(Exception):
    """A batch that the stage handles as one took too long."""


async def within_limit(
    stage: Stage[EventT, StateT], records: Sequence[Input[EventT, StateT]], moved: Callable[[], None]
) -> Sequence[Result]:
    """What the stage makes of a batch. A record that takes longer than `stage.limit_s` gets a problem for a result.

    `moved` is called for every record that is done or given up. Raises OverdueError where the stage does not handle
    its records one by one, and whatever the stage raises.
    """
    loop = asyncio.get_running_loop()
    working = asyncio.ensure_future(stage.handle_batch(records))
    handled, spent_s, given_up = stage.handled, 0.0, False
    try:
        while not working.done():
            looked = loop.time()
            await asyncio.wait([working], timeout=LOOK_S)
            spent_s += min(loop.time() - looked, 2 * LOOK_S)
            if stage.handled != handled:
                handled, spent_s = stage.handled, 0.0
                moved()
            elif spent_s >= stage.limit_s and not working.done():
                spent_s, given_up, stage.overdue = 0.0, True, True
                working.cancel()
    except asyncio.CancelledError:
        working.cancel()
        raise
    moved()
    if working.cancelled() and given_up:
        raise OverdueError
    return working.result()
