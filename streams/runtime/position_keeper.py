"""The positions of the partitions that a worker holds: into each transaction, and back at a takeover."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streams.runtime.outbox import Batch
from streams.runtime.positions import Positions
from streams.runtime.records import Outgoing
from streams.runtime.state import PartitionState, positions_change


class PartitionsChangedError(RuntimeError):
    """Partitions were added while the worker ran; its state is not where their cases are."""


class PositionKeeper:
    """Keeps positions in the states of partitions, and so in the state topic."""

    def __init__(self, states: Mapping[int, PartitionState[Any]], state_topic: str) -> None:
        self._states = states
        self._state_topic = state_topic
        #: Partitions of every topic, and the ids of the topics read, as the worker found them before it joined.
        self.partition_count = 1
        self.topic_ids: Mapping[str, str] = {}

    def offset(self, topic: str, partition: int) -> int | None:
        """The next offset to read; None where the state does not say."""
        state = self._states.get(partition)
        return None if state is None or state.positions is None else state.positions.next_offset(topic, self.topic_ids)

    def with_positions(self, partition: int, batch: Batch) -> Batch:
        """The batch with a last record that says where reading goes on after it."""
        if not batch.offsets or partition not in self._states:
            return batch
        change = positions_change(self._moved(self._states[partition], batch))
        record = Outgoing(self._state_topic, change.key, change.value, partition=partition)
        *before, last = batch.entries
        return Batch((*before, replace(last, records=(*last.records, record))))

    def committed(self, partition: int, batch: Batch) -> None:
        """The batch is carried out."""
        state = self._states.get(partition)
        if state is not None and batch.offsets:
            state.positions = self._moved(state, batch)

    def refuse_others(self, partitions: set[int]) -> None:
        """Raises PartitionsChangedError where one of these was not there when the worker began."""
        if partitions and max(partitions) >= self.partition_count:
            raise PartitionsChangedError(f"partitions were added to the {self.partition_count} of this worker's start")

    def _moved(self, state: PartitionState[Any], batch: Batch) -> Positions:
        kept = state.positions or Positions(partition_count=self.partition_count)
        return kept.moved(batch.offsets, self.topic_ids, self.partition_count)
