"""Computes every group's lag, one refresh after the other: read offsets, count what is new, subtract."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import Self

from ops.lag.broker import BrokerObserver
from ops.lag.broker_view import BrokerView
from ops.lag.client import Partition
from ops.lag.coverage import Coverage
from ops.lag.evaluator import evaluate
from ops.lag.examiner import Examiner, Occasion, Stretch
from ops.lag.figures import GroupLag, LagFigures
from ops.lag.index import Unread
from ops.lag.positions import Key, ReadToTheEnd, lost_offsets, next_read, offset_distance
from ops.lag.rates import WINDOW, LagSample, drain_seconds, keep, rate_in, rate_out
from ops.lag.scanner import Scanner
from ops.lag.selection import limited
from streams.pipeline import INPUTS, WRITTEN

#: Seconds per refresh to wait for the records written up to the look, and to spend on reading stretches again.
CATCH_UP_S = 0.35
EXAMINE_S = 0.15
#: The first refresh waits longer: it makes the connections, and needs the oldest unread record of every partition.
FIRST_CATCH_UP_S = 5.0
#: Compaction removes records after they were counted, without a notice; a group's unread records there are recounted
#: this often.
RECOUNT_EVERY_S = 30.0

#: Topics into which only transactions write; what others publish is not in one.
_IN_TRANSACTIONS = frozenset(WRITTEN) - frozenset(INPUTS)


class LagMonitor:
    """Keeps the state between refreshes. Not thread-safe: one loop calls `refresh`, and `scan` in between."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topics: str = ".*",
        groups: str = ".*",
        expected: Mapping[str, Iterable[str]] | None = None,
        recount_every_s: float = RECOUNT_EVERY_S,
        most_groups: int | None = None,
        most_pairs: int | None = None,
    ) -> None:
        """`expected` names groups that must exist and what they read: they lag even before they ever joined.

        `most_groups` and `most_pairs` (of group and partition) bound what is looked at; None: all there is.
        """
        self._expected = frozenset(expected or ())
        self._most_pairs = most_pairs
        self._observer = BrokerObserver(
            bootstrap_servers, topics, groups, expected=self._expected, most_groups=most_groups
        )
        self._scanner = Scanner(bootstrap_servers)
        self._examiner = Examiner(bootstrap_servers, self._scanner.indexes)
        self._coverage = Coverage(expected or {})
        self._recount_every_s = recount_every_s
        self._windows: dict[Key, deque[LagSample]] = defaultdict(lambda: deque(maxlen=WINDOW))
        self._arrived: dict[Partition, tuple[int, float]] = {}
        self._read_to_the_end = ReadToTheEnd(_IN_TRANSACTIONS)
        self._topic_ids: dict[str, str] = {}
        self._patience_s = FIRST_CATCH_UP_S

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def refresh(self) -> LagFigures:
        """The figures as of now. Raises BrokerAwayError."""
        started = time.monotonic()
        view = self._observer.look()
        self._notice_new_topics(view)
        pairs, left_out = limited(self._coverage.partitions(view), self._expected, self._most_pairs)
        positions = {
            key: next_read(
                view.groups[key[0]].committed.get(key[1:]) if key[0] in view.groups else None, view.bounds[key[1:]]
            )
            for key in pairs
        }
        unread = self._with_unread_offsets(positions, view)
        lowest: dict[Partition, int] = {}
        for key in unread:
            lowest[key[1:]] = min(positions[key], lowest.get(key[1:], positions[key]))
        self._scanner.pins = self._pins(unread, positions)
        self._scanner.follow(lowest, view.bounds)
        targets = {partition: view.bounds[partition].last_stable for partition in lowest}
        self._scanner.catch_up(targets, time.monotonic() + self._patience_s)
        self._patience_s = CATCH_UP_S
        self._examine(unread, positions, view)
        self._note_arrivals(view)
        lags = tuple(self._lag(key, positions[key], view) for key in positions)
        gone = self._windows.keys() - positions.keys()
        self._read_to_the_end.forget(gone)
        for key in gone:
            del self._windows[key]
        uncounted = sum(max(0, upto - self._end(partition)) for partition, upto in targets.items())
        took_s = time.monotonic() - started
        return LagFigures(view=view, lags=lags, took_s=took_s, uncounted=uncounted, left_out=left_out)

    def settle(self, within_s: float, on_progress: Callable[[LagFigures], None] | None = None) -> LagFigures:
        """Refresh until everything unread is counted exactly, or `within_s` has passed; for one-shot commands."""
        deadline = time.monotonic() + within_s
        while True:
            figures = self.refresh()
            exact = figures.uncounted == 0 and all(lag.uncertain == 0 for lag in figures.lags)
            if exact or time.monotonic() >= deadline:
                return figures
            if on_progress is not None:
                on_progress(figures)
            self.scan(0.2)

    def scan(self, seconds: float) -> None:
        """Count what arrives, for `seconds`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._scanner.scan(min(left, 0.1))

    def close(self) -> None:
        """Close the connections."""
        self._scanner.close()
        self._examiner.close()

    def _notice_new_topics(self, view: BrokerView) -> None:
        ids = {name: topic.topic_id for name, topic in view.topics.items()}
        changed = {name for name, was in self._topic_ids.items() if ids.get(name) != was}
        self._topic_ids = ids
        if not changed:
            return
        partitions = {partition for partition in (*self._scanner.indexes, *self._arrived) if partition[0] in changed}
        self._scanner.forget(partitions)
        self._examiner.forget(partitions)
        for partition in partitions:
            self._arrived.pop(partition, None)
        anew = [key for key in self._windows if key[1] in changed]
        self._read_to_the_end.forget(anew)
        for key in anew:
            del self._windows[key]

    def _with_unread_offsets(self, positions: Mapping[Key, int], view: BrokerView) -> list[Key]:
        return [key for key, position in positions.items() if offset_distance(position, view.bounds[key[1:]]) > 0]

    def _pins(self, unread: Iterable[Key], positions: Mapping[Key, int]) -> Mapping[Partition, set[int]]:
        pins: dict[Partition, set[int]] = defaultdict(set)
        for key in unread:
            pins[key[1:]].add(positions[key])
        for partition, offsets in pins.items():
            offsets.update(self._examiner.boundaries(partition))
        return pins

    def _examine(self, unread: Iterable[Key], positions: Mapping[Key, int], view: BrokerView) -> None:
        for key in unread:
            partition, position = key[1:], positions[key]
            index = self._scanner.indexes.get(partition)
            if index is None:
                continue
            if position < index.start:
                self._examiner.ask(
                    Stretch(partition=partition, occasion=Occasion.EXTEND, first=position, last=index.start)
                )
            elif (
                view.topics[partition[0]].compacted
                and len(index)
                and self._examiner.due_for_recount(partition, self._recount_every_s)
            ):
                self._examiner.ask(
                    Stretch(partition=partition, occasion=Occasion.RECOUNT, first=index.start, last=index.starts[-1])
                )
            elif self._stands_still(key, position) and not index.unread(position).exact:
                self._examiner.ask(
                    Stretch(
                        partition=partition,
                        occasion=Occasion.SHARPEN,
                        first=position,
                        last=index.segment_after(position),
                    )
                )
        self._examiner.read(time.monotonic() + EXAMINE_S, self._recount_every_s)

    def _stands_still(self, key: Key, position: int) -> bool:
        window = self._windows.get(key)
        return not window or window[-1].position == position

    def _note_arrivals(self, view: BrokerView) -> None:
        for partition, bounds in view.bounds.items():
            end, arrived = self._arrived.get(partition, (bounds.last_stable, 0.0))
            grown = max(0, bounds.last_stable - end) * self._scanner.density(partition)
            self._arrived[partition] = (bounds.last_stable, arrived + grown)
        for partition in self._arrived.keys() - view.bounds.keys():
            del self._arrived[partition]

    def _end(self, partition: Partition) -> int:
        index = self._scanner.indexes.get(partition)
        return index.end if index is not None else 0

    def _unread(self, partition: Partition, position: int, view: BrokerView) -> Unread:
        """The readable records from a position on. Offsets not yet counted count in full, and as uncertain."""
        stable = view.bounds[partition].last_stable
        if position >= stable:
            return Unread(records=0)
        index = self._scanner.indexes.get(partition)
        if index is None:
            return Unread(records=stable - position, uncertain=stable - position)
        known = index.unread(max(position, index.start), stable)
        blind = max(0, index.start - position) + max(0, stable - max(index.end, position))
        return Unread(
            records=known.records + blind,
            uncertain=known.uncertain + blind,
            oldest_ms=known.oldest_ms,
            uncertain_ms=known.uncertain_ms,
        )

    def _lag(self, key: Key, position: int, view: BrokerView) -> GroupLag:
        name, partition = key[0], key[1:]
        group = view.groups.get(name)
        committed = group.committed.get(partition) if group is not None else None
        owned = group is not None and partition in group.owned
        bounds, unread = view.bounds[partition], self._unread(partition, position, view)
        if unread.records == 0 and unread.uncertain == 0:
            self._read_to_the_end.note(key, committed, bounds)
        window = self._windows[key]
        arrived = self._arrived[partition][1]
        keep(window, LagSample(at_s=view.at_s, position=position, lag=unread.records, arrived=arrived, owned=owned))
        records_in, records_out = rate_in(window), rate_out(window)
        age_s = view.at - unread.oldest_ms / 1_000 if unread.oldest_ms is not None else 0.0
        return GroupLag(
            group=name,
            topic=partition[0],
            partition=partition[1],
            committed=committed,
            lag=unread.records,
            uncertain=unread.uncertain,
            lag_s=max(0.0, age_s),
            records_in=records_in,
            records_out=records_out,
            drain_s=drain_seconds(unread.records, records_in, records_out),
            state=evaluate(window),
            owned=owned,
            lost=lost_offsets(committed, bounds, self._read_to_the_end.until(key, committed)),
        )
