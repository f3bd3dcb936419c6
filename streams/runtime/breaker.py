"""Ends a crash loop: what keeps killing its workers is found, laid aside by pointer, and the partition goes on.

A supervisor cannot mend a record. So each owner of a partition writes down where it begins (`deaths`); one that finds
that several before it died there holds that topic of the partition back, tries its records one by one in a process of
its own (`trial`), and processes and commits them one by one itself. All other partitions go on meanwhile. What a person
orders to be skipped (`orders`) goes the same way, untried.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faust.types import TP

from schemas.envelope.raw import unread
from streams import metrics
from streams.runtime import deaths
from streams.runtime.deaths import SUSPICIOUS, Start
from streams.runtime.orders import SkipOrder, orders
from streams.runtime.records import InputProblem, StateChange
from streams.runtime.trial import Trial, TrialUnavailableError, TrialVerdict, Tried

if TYPE_CHECKING:
    from streams.runtime.app import StageApp

logger = logging.getLogger(__name__)

#: How often a trial is begun anew that could not be held at all, and the pause before it, in seconds.
TRIES, PAUSE_S = 5, 2.0
REASONS: Mapping[TrialVerdict, str] = {
    TrialVerdict.KILLS: "a process that tried it alone died of it, or did not come back within its time",
    TrialVerdict.UNREADABLE: "a process that read it alone died of it, or did not come back within its time",
}


@dataclass(frozen=True, slots=True)
class _Window:
    """Records of a topic-partition that are held back: those from `offset` up to, not including, `end`."""

    tp: TP
    offset: int
    end: int
    #: Why the first of them is laid aside untried; None: it is tried, as all others are.
    first: InputProblem | None = None


class Breaker:
    """Holds back what kills workers, for one worker."""

    def __init__(self, app: StageApp, trial_command: Sequence[str] | None) -> None:
        """`trial_command` starts a process that tries records (`trial_child`); without one nothing is tried."""
        self._app = app
        self._trial = None if trial_command is None else Trial(trial_command, app.stage.patience_s)
        #: Not consumed in the ordinary way (`transport`).
        self.held: set[TP] = set()
        self._starts: dict[int, dict[str, Start]] = {}
        self._moved: dict[int, set[str]] = {}
        self._task: asyncio.Task[None] | None = None
        self._due = False

    def assigned(self) -> None:
        """Partitions were taken over; the positions at which reading begins come next."""
        self._due = True

    async def taken_over(self, positions: Mapping[TP, int | None]) -> None:
        """Write down where this owner begins (next offset to read), before anything is read."""
        if not self._due:
            # Faust seeks again at times; this owner has begun already.
            return
        self._due = False
        await self._stop_trying()
        self._starts.clear()
        self._moved.clear()
        windows: list[_Window] = []
        for partition, state in self._app.states.items():
            begin = {tp.topic: max(0, offset or 0) for tp, offset in positions.items() if tp.partition == partition}
            starts = deaths.begun(deaths.from_json(state.notes.get(deaths.NOTE)), begin)
            self._starts[partition] = starts
            self._write(partition, [state.note(deaths.NOTE, deaths.to_json(starts))])
            ordered = self._take_orders(partition, begin)
            windows += self._windows(partition, starts, ordered)
        await self._app.transactions.flush()
        self.held = {window.tp for window in windows}
        metrics.HELD_BACK.labels(self._app.stage.name).set(len(self.held))
        if windows:
            self._task = asyncio.create_task(self._try_all(windows))

    def committed(self, partition: int, offsets: Mapping[str, int]) -> None:
        """A transaction has moved these topics."""
        self._moved.setdefault(partition, set()).update(offsets)

    async def leaving(self) -> None:
        """The partitions go while this owner lives: it does not count."""
        await self._stop_trying()
        if self._app.pulse.busy:
            # Asked to stop within a batch that does not end: it dies of that as surely as by its own hand.
            return
        for partition, starts in self._starts.items():
            moved = self._moved.get(partition, set())
            state = self._app.states.get(partition)
            if state is not None and set(starts) - moved:
                self._write(partition, [state.note(deaths.NOTE, deaths.to_json(deaths.left(starts, moved)))])
        self._starts.clear()

    def _windows(self, partition: int, starts: Mapping[str, Start], ordered: Mapping[str, SkipOrder]) -> list[_Window]:
        stage, windows = self._app.stage, []
        for topic, start in starts.items():
            order, tp = ordered.get(topic), TP(topic, partition)
            suspicious = start.deaths >= SUSPICIOUS
            if suspicious:
                metrics.DEATHS.labels(stage.name, topic).inc()
                logger.error("%s[%s]: %s workers died at offset %s", topic, partition, start.deaths, start.offset)
            # As many as may have been in flight: taken up, and buffered behind that.
            end = start.offset + (3 * stage.max_batch if suspicious else 1)
            if order is not None and order.offset == start.offset:
                windows.append(_Window(tp, start.offset, end, InputProblem(reason="skipped", detail=order.reason)))
            elif suspicious and self._trial is not None:
                windows.append(_Window(tp, start.offset, end))
        return windows

    def _take_orders(self, partition: int, begin: Mapping[str, int]) -> dict[str, SkipOrder]:
        """Orders that are to be carried out now; those for later are, when their record comes."""
        state, now = self._app.states[partition], {}
        for name, order in list(orders(state.notes)):
            if order is None or order.offset < begin.get(order.topic, order.offset + 1):
                # Passed meanwhile, or nobody's topic: it shall not apply to what comes later.
                self._write(partition, [state.note(name, None)])
            elif order.offset == begin[order.topic]:
                now[order.topic] = order
            else:
                problem = InputProblem(reason="skipped", detail=order.reason)
                self._app.stage_loop.condemn(order.topic, partition, order.offset, problem, least=True)
        return now

    async def _try_all(self, windows: list[_Window]) -> None:
        """Work off the windows, one record of each in turn."""
        try:
            while windows:
                for window in list(windows):
                    windows.remove(window)
                    following = await self._step(window)
                    if following.offset < following.end:
                        windows.append(following)
                    else:
                        await self._let_go(following)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            logger.exception("records cannot be tried one by one")
            await self._app.crash(error)
        finally:
            if self._trial is not None:
                await self._trial.close()

    async def _step(self, window: _Window) -> _Window:
        """Deal with the first record of a window; the window behind it."""
        topic, partition = window.tp
        tried = await self._examined(window)
        if tried is None or tried.verdict is TrialVerdict.NONE or tried.offset >= window.end:
            # Nothing more there, or nothing can be tried: the ordinary way from here on.
            return replace(window, end=window.offset)
        problem = window.first if window.first is not None and tried.offset == window.offset else None
        if problem is None and tried.verdict in REASONS:
            problem = InputProblem(reason=tried.verdict.value, detail=REASONS[tried.verdict])
        raw = tried.raw or unread(topic, partition, tried.offset)
        if problem is not None:
            metrics.LAID_ASIDE.labels(self._app.stage.name, problem.reason).inc()
            logger.error("%s[%s]@%s is laid aside: %s", topic, partition, tried.offset, problem.reason)
        with self._app.pulse.batch():
            done = await self._app.stage_loop.process_read(raw, problem)
        if done and problem is not None and problem.reason == "skipped":
            name = SkipOrder(topic, tried.offset, problem.detail).note
            self._write(partition, [self._app.states[partition].note(name, None)])
        # Committed before the next one is touched: should the process die of it, the place says which one it was.
        await self._app.transactions.flush()
        return replace(window, offset=tried.offset + 1, first=None)

    async def _examined(self, window: _Window) -> Tried | None:
        topic, partition = window.tp
        if self._trial is None:
            return Tried(TrialVerdict.SOUND, window.offset) if window.first is not None else None
        unreadable = False
        for _ in range(TRIES):
            try:
                tried = await self._trial.examine(topic, partition, window.offset, handle=window.first is None)
            except TrialUnavailableError as error:
                logger.error("records of %s[%s] cannot be tried: %s", topic, partition, error)
                await asyncio.sleep(PAUSE_S)
                continue
            if tried.verdict is TrialVerdict.UNREADABLE and not unreadable:
                # Once more: a child may also have been killed by chance while it read.
                unreadable = True
                continue
            return tried
        return Tried(TrialVerdict.SOUND, window.offset) if window.first is not None else None

    async def _let_go(self, window: _Window) -> None:
        """From here on the partition is consumed in the ordinary way again."""
        await self._app.consumer.seek(window.tp, window.offset)
        self.held.discard(window.tp)
        metrics.HELD_BACK.labels(self._app.stage.name).set(len(self.held))
        logger.warning("%s[%s] goes on at offset %s", window.tp.topic, window.tp.partition, window.offset)

    async def _stop_trying(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self.held = set()

    def _write(self, partition: int, changes: Sequence[StateChange]) -> None:
        generation = self._app.outbox.generation(partition)
        if generation is not None:
            records = [self._app.stage_loop.encoder.state_record(change, partition) for change in changes]
            self._app.outbox.append(partition, generation, records)
