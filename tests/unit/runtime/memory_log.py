"""A log of values that behaves as a broker does under aiokafka: for tests of what is done about its answers.

Like aiokafka it commits a transaction without the records that were refused, numbers what a producer sends, and takes
nothing more from a producer of which it refused something (`tests/integration/test_refused.py` shows both for real).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka import TopicPartition, errors

from streams.runtime.records import Outgoing

#: The error for a record, None where it is taken; `at` is the stamp in milliseconds.
Verdict = Callable[[Outgoing, int | None], BaseException | None]


@dataclass
class MemoryLog:
    """What is committed, and what will be refused."""

    verdict: Verdict = lambda record, at: None
    records: list[Outgoing] = field(default_factory=list)
    stamps: list[int | None] = field(default_factory=list)
    offsets: dict[TopicPartition, int] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    #: Raised by the next calls of these methods, once each.
    failing: dict[str, list[BaseException]] = field(default_factory=dict)
    starts: int = 0

    def producer(self, transactional_id: str) -> MemoryProducer:
        return MemoryProducer(self, transactional_id)

    def fail(self, method: str) -> None:
        if waiting := self.failing.get(method):
            raise waiting.pop(0)


class MemoryProducer:
    """A producer of one transactional id."""

    def __init__(self, log: MemoryLog, transactional_id: str) -> None:
        self._log, self._id = log, transactional_id
        self._epoch = -1
        self._taken: list[tuple[Outgoing, int | None]] = []
        self._offsets: dict[TopicPartition, int] = {}
        self._broken: set[tuple[str, int | None]] = set()

    async def start(self) -> None:
        self._log.fail("start")
        self._log.starts += 1
        self._epoch = self._log.epochs[self._id] = self._log.epochs.get(self._id, -1) + 1

    async def stop(self) -> None:
        self._taken, self._offsets = [], {}

    def _check(self) -> None:
        if self._log.epochs[self._id] != self._epoch:
            raise errors.ProducerFenced

    async def begin_transaction(self) -> None:
        self._log.fail("begin_transaction")
        self._check()
        self._taken, self._offsets = [], {}

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int | None,
        timestamp_ms: int | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> Awaitable[object]:
        self._log.fail("send")
        self._check()
        assert key is not None or value is not None, "Need at least one: key or value"
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        record = Outgoing(topic, key, value, partition, tuple(headers))
        refusal = self._log.verdict(record, timestamp_ms)
        if (topic, partition) in self._broken:
            refusal = errors.OutOfOrderSequenceNumber()
        if refusal is None:
            self._taken.append((record, timestamp_ms))
            answer.set_result(None)
        else:
            self._broken.add((topic, partition))
            answer.set_exception(refusal)
        return answer

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, int], group_id: str) -> None:
        self._log.fail("send_offsets")
        self._check()
        self._offsets.update(offsets)

    async def commit_transaction(self) -> None:
        self._log.fail("commit_transaction")
        self._check()
        self._log.records += [record for record, _ in self._taken]
        self._log.stamps += [stamp for _, stamp in self._taken]
        self._log.offsets.update(self._offsets)
