"""Progress of the demo: live on a terminal, line by line anywhere else."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from rich.console import Console
from rich.live import Live

from ops.demo import show
from ops.demo.follow import Follower
from ops.demo.reconcile import Published
from ops.demo.scenario import PlannedInput
from schemas.events import EscalationType, Lane

#: The inputs published so far.
Inputs = list[tuple[PlannedInput, Published]]


class ProgressView:
    """Shows the progress of the stages and the escalations. `expected` is the total number of inputs."""

    def __init__(self, console: Console, follower: Follower, expected: int, inputs: Inputs) -> None:
        self._console = console
        self._follower = follower
        self._expected = expected
        self._inputs = inputs
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown: set[UUID] = set()

    def __enter__(self) -> Callable[[], None]:
        if self._live is not None:
            self._live.start()
        return self._look

    def __exit__(self, *_: object) -> None:
        self._look()
        if self._live is not None:
            self._live.stop()

    def _look(self) -> None:
        if self._live is None:
            self._tell_new()
            return
        with self._follower.lock:
            shown = show.progress(self._follower.stories, self._expected, len(self._inputs))
        self._live.update(shown, refresh=True)

    def _tell_new(self) -> None:
        with self._follower.lock:
            every = [each for story in self._follower.stories.values() for each in story.escalations]
        # To keep the log short, only emergencies are shown one by one; the summary has everything.
        every = [each for each in every if each.lane is Lane.EMERGENCY or each.type is EscalationType.EMERGENCY]
        for escalation in sorted(every, key=lambda each: each.raised_at):
            if escalation.event_id not in self._shown:
                self._shown.add(escalation.event_id)
                for line in show.escalation_lines(escalation):
                    self._console.print(line, soft_wrap=True)
