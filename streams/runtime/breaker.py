"""Ends a crash loop: what keeps killing its workers is found, laid aside by pointer, and the partition goes on.

A supervisor cannot mend a record. So each owner of a partition writes down where it begins (`deaths`); one that finds
that several before it died there holds that topic of the partition back, tries its records one by one in a process of
its own (`trial`), and processes and commits them one by one itself. All other partitions go on meanwhile. What a person
orders to be skipped (`orders`) goes the same way, untried.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from faust.types import TP

from schemas.envelope.raw import unread
from streams import metrics
from streams.runtime import deaths, freezes
from streams.runtime.deaths import SUSPICIOUS, Start
from streams.runtime.examination import REASONS, examined
from streams.runtime.orders import SkipOrder, orders
from streams.runtime.records import InputProblem, StateChange
from streams.runtime.suspects import ALONE, Traces, Window, window
from streams.runtime.trial import Trial, TrialVerdict

if TYPE_CHECKING:
    from streams.runtime.app import StageApp

logger = logging.getLogger(__name__)


class Breaker:
    """Holds back what kills workers, for one worker."""

    def __init__(self, app: StageApp, trial_command: Sequence[str] | None) -> None:
        """`trial_command` starts a process that tries records (`trial_child`); without one nothing is tried."""
        self._app = app
        self._trial = None if trial_command is None else Trial(trial_command, app.stage.limit_s)
        #: Not consumed in the ordinary way (`transport`).
        self.held: set[TP] = set()
        self._starts: dict[int, dict[str, Start]] = {}
        self._moved: dict[int, set[str]] = {}
        #: Records that died with a worker that had nothing else in hand, as found, and those taken up so by this one.
        self._alone: dict[int, dict[str, Start]] = {}
        self._marked: set[int] = set()
        self._task: asyncio.Task[None] | None = None
        self._due = False

    @property
    def tries(self) -> bool:
        """Whether records can be tried in a process of their own."""
        return self._trial is not None

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
        self._forget()
        windows: list[Window] = []
        for partition, state in self._app.states.items():
            begin = {tp.topic: max(0, offset or 0) for tp, offset in positions.items() if tp.partition == partition}
            starts = deaths.begun(deaths.from_json(state.notes.get(deaths.NOTE)), begin)
            self._starts[partition] = starts
            self._write(partition, [state.note(deaths.NOTE, deaths.to_json(starts))])
            ordered = self._take_orders(partition, begin)
            froze = self._froze(partition, begin)
            self._alone[partition] = deaths.from_json(state.notes.get(ALONE))
            for topic, start in starts.items():
                known = Traces(
                    order=ordered.get(topic), froze=froze.get(topic), alone=self._alone[partition].get(topic)
                )
                windows += self._suspected(TP(topic, partition), start, known)
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
            if state is not None and partition in self._marked:
                self._write(partition, [state.note(ALONE, deaths.to_json(self._alone[partition]))])
        self._forget()

    def _forget(self) -> None:
        for known in (self._starts, self._moved, self._alone, self._marked):
            known.clear()

    def _suspected(self, tp: TP, start: Start, known: Traces) -> list[Window]:
        stage = self._app.stage
        if start.deaths >= SUSPICIOUS:
            metrics.DEATHS.labels(stage.name, tp.topic).inc()
            logger.error("%s[%s]: %s workers died at offset %s", *tp, start.deaths, start.offset)
        found = window(tp, start, known, max_batch=stage.max_batch, can_try=self._trial is not None)
        if found is None:
            return []
        if known.froze is not None:
            logger.error("%s[%s]: a worker froze with offsets %s to %s in hand", *tp, *known.froze)
        return [found]

    def _froze(self, partition: int, begin: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """With which records in hand a worker froze, by topic; what was passed meanwhile is forgotten."""
        state = self._app.states[partition]
        noted = freezes.from_json(state.notes.get(freezes.NAME))
        froze = {topic: span for topic, span in noted.items() if span[1] >= begin.get(topic, span[1] + 1)}
        if noted and not froze:
            self._write(partition, [state.note(freezes.NAME, None)])
        return froze

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

    async def _try_all(self, windows: list[Window]) -> None:
        """Work off the windows, one record of each in turn."""
        try:
            waiting = deque(windows)
            while waiting:
                following = await self._step(waiting.popleft())
                if following.found:
                    # One record froze the worker, and this is it.
                    for innocent in [other for other in waiting if other.for_freeze]:
                        waiting.remove(innocent)
                        await self._let_go(innocent)
                if following.offset < following.end and not following.found:
                    waiting.append(following)
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

    async def _step(self, window: Window) -> Window:
        """Deal with the first record of a window; the window behind it."""
        topic, partition = window.tp
        tried = await examined(self._trial, window)
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
        async with self._app.stage_loop.turn:
            if window.alone and problem is None:
                await self._mark(window.tp, tried.offset)
            with self._app.pulse.batch():
                done = await self._app.stage_loop.process_read(raw, problem)
            if window.alone:
                await self._app.transactions.flush()
        if done and problem is not None and problem.reason == "skipped":
            name = SkipOrder(topic, tried.offset, problem.detail).note
            self._write(partition, [self._app.states[partition].note(name, None)])
        # Committed before the next one is touched: should the process die of it, the place says which one it was.
        await self._app.transactions.flush()
        found = window.for_freeze and tried.verdict in REASONS
        return replace(window, offset=tried.offset + 1, first=None, found=found)

    async def _mark(self, tp: TP, offset: int) -> None:
        """Write down that a worker has this record in hand and nothing else; what comes next says whether it lived."""
        state, known = self._app.states.get(tp.partition), self._alone.get(tp.partition)
        if state is not None and known is not None:
            before = known.get(tp.topic)
            count = 1 + (before.count if before is not None and before.offset == offset else 0)
            self._marked.add(tp.partition)
            self._write(tp.partition, [state.note(ALONE, deaths.to_json({**known, tp.topic: Start(offset, count)}))])
            await self._app.transactions.flush()

    async def _let_go(self, window: Window) -> None:
        """From here on the partition is consumed in the ordinary way again."""
        state = self._app.states.get(window.tp.partition)
        if window.for_freeze and state is not None:
            self._write(window.tp.partition, [state.note(freezes.NAME, None)])
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
