"""Transactions that Kafka left open although their coordinator calls them complete, and their end.

Where a broker dies between "prepared to commit" and the commit markers, or a partition has no leader when they are
sent, Kafka may call a transaction complete without having written them (seen with 4.3.0, 4.3.1 and 4.4.0, and on
several partitions at once with a single broker). What it wrote there, offsets included, is then neither there nor gone:
a new owner reads an older state and older offsets, takes the same inputs again, and its first commit makes both copies
visible.

Once the new owner's producer is started, every older transaction of its id has ended. What is still open of that
producer id, on any partition that the stage may write to or in the group's offsets, hangs; a transaction over exactly
those partitions sets the missing markers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.client import CoordinationType
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.producer.sender import AddOffsetsToTxnHandler

from streams.broker.open_transactions import OFFSETS_TOPIC, LastTransaction, offsets_partition, open_transactions
from streams.broker.read import Place
from streams.pipeline import WRITTEN

logger = logging.getLogger(__name__)

#: For partitions to be announced to a transaction.
TIMEOUT_S = 30.0
_POLL_S = 0.01
#: States of a transaction that is to be aborted, or was.
_ABORTED = frozenset({"PrepareAbort", "CompleteAbort", "PrepareEpochFence"})


class HangingTransactionError(RuntimeError):
    """A transaction of a former owner stays open; what follows it cannot be read."""


def was_committed(last: LastTransaction | None, place: Place) -> bool:
    """Whether what hangs on a partition was committed, by how the id's last transaction stood before the takeover.

    Only the last one can have been aborted: an owner goes on after a commit alone. Where nothing is known any more (an
    owner that ended before it had looked), it counts as committed: what it wrote is a valid result of its inputs.
    """
    if last is None:
        return True
    if last.state == "Ongoing":
        # The takeover has aborted it, where it was announced; elsewhere an older one hangs.
        return place not in last.places
    return last.state not in _ABORTED


class Hanging:
    """Transactions of one group's stage that were left open."""

    def __init__(self, bootstrap_servers: str, group: str, state_topic: str) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._group = group
        self._topics = (*WRITTEN, state_topic, OFFSETS_TOPIC)
        self._last: dict[int, LastTransaction] = {}
        self._open: dict[int, set[Place]] = {}

    async def look_before(self, partitions: Iterable[int]) -> None:
        """Note how the last owners' transactions stand; before a producer is started, which ends them."""
        self._last.clear()
        async with open_transactions(self._bootstrap_servers) as asked:
            for partition in sorted(partitions):
                try:
                    last = await asked.last(f"{self._group}-{partition}")
                except IncompatibleBrokerVersion:
                    logger.warning("this broker cannot be asked for transactions left open (Kafka 3.0 and newer can)")
                    return
                if last is not None:
                    self._last[partition] = last

    async def find(self, partitions: Iterable[int]) -> set[int]:
        """The partitions whose former owner left a transaction open somewhere. Raises KafkaError."""
        owners = {self._last[partition].producer_id: partition for partition in partitions if partition in self._last}
        self._open.clear()
        if not owners:
            return set()
        async with open_transactions(self._bootstrap_servers) as asked:
            places = await asked.places(self._topics)
            count = sum(topic == OFFSETS_TOPIC for topic, _ in places)
            own = (OFFSETS_TOPIC, offsets_partition(self._group, count)) if count else None
            for place, ids in (await asked.open(p for p in places if p[0] != OFFSETS_TOPIC or p == own)).items():
                for producer_id in ids & owners.keys():
                    self._open.setdefault(owners[producer_id], set()).add(place)
        return set(self._open)

    async def end(self, producer: Any, partition: int) -> None:
        """End what `find` found of a partition; `producer` is its new owner's, and must be started anew after."""
        places, last = self._open.get(partition, set()), self._last.get(partition)
        for committed in (True, False):
            chosen = sorted(place for place in places if was_committed(last, place) is committed)
            if chosen:
                outcome = "committed" if committed else "aborted"
                logger.warning("partition %s: %s left open, was %s", partition, chosen, outcome)
                await _end(producer, self._group, chosen, committed)


async def _end(producer: Any, group: str, places: Sequence[Place], committed: bool) -> None:
    """An empty transaction that has announced these partitions, and so sets a marker on each."""
    manager = producer._txn_manager
    await producer.begin_transaction()
    announced = {TopicPartition(*place) for place in places if place[0] != OFFSETS_TOPIC}
    for place in announced:
        manager.maybe_add_partition_to_txn(place)
    deadline = time.monotonic() + TIMEOUT_S
    if len(announced) < len(places):
        # The group's offsets get a marker once they are announced; no offset needs to be written.
        coordinator = await producer._sender._find_coordinator(CoordinationType.TRANSACTION, manager.transactional_id)
        while not await AddOffsetsToTxnHandler(producer._sender, group).do(coordinator):
            _in_time(deadline)
    while not announced <= manager.txn_partitions:
        _in_time(deadline)
        await asyncio.sleep(_POLL_S)
    await (producer.commit_transaction() if committed else producer.abort_transaction())


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise HangingTransactionError("the partitions of a transaction left open cannot be announced")
