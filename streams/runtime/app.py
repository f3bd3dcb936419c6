"""A Faust app that runs one stage exactly once.

Faust consumes, rebalances and drives; transactions, state and offsets are ours (`transactions`, `state`, `outbox`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from yarl import URL

from streams import metrics
from streams.broker.clients import stage_producer
from streams.broker.positions import committed_offsets
from streams.liveness import STALL_S
from streams.runtime.assignor import CopartitionedAssignor
from streams.runtime.breaker import Breaker
from streams.runtime.credentials import credentials_of
from streams.runtime.decoding import Codec
from streams.runtime.hanging import Hanging
from streams.runtime.lookout import Lookout, note_command
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Batch, Outbox
from streams.runtime.position_keeper import PositionKeeper
from streams.runtime.producers import Producers
from streams.runtime.pulse import Pulse
from streams.runtime.quarantine import ValueStore
from streams.runtime.stage import AnyStage
from streams.runtime.stamps import Stamps
from streams.runtime.state import PartitionState, restore_partitions
from streams.runtime.strangers import Ends, Strangers
from streams.runtime.transactions import Transactions
from streams.runtime.transport import Transport
from streams.topics import MAX_DEAD_LETTER_BYTES

logger = logging.getLogger(__name__)

#: A dead worker's partitions move after this long. Shorter, and a pause of the machine looks like a death; the broker
#: accepts no less than 6 s by default (`group.min.session.timeout.ms`).
SESSION_TIMEOUT_S = 6.0
HEARTBEAT_S = 2.0
#: A member that does not come to a rebalance holds up the others for so long: one that still reads its state, or one
#: that a coordinator which moved meanwhile believes in (a restart of everything cost three stages a whole minute).
#: Longer than it takes to read the state of tens of thousands of open escalations.
REBALANCE_TIMEOUT_S = 30.0
#: How long a completed routine input waits for a transaction; emergencies do not wait.
COMMIT_INTERVAL_S = 0.1
#: How soon a group leader that dealt partitions without knowing all of them looks again, and deals anew. Faust's five
#: minutes would leave a lane without a worker for as long.
METADATA_MAX_AGE_MS = 10_000
#: Events waiting in Faust's buffer. Everything in it is read again after a rebalance, and an image stage holds what it
#: takes for a while: two batches are enough to keep it busy.
BUFFER_BATCHES = 2


class StageApp(faust.App):  # type: ignore[misc]
    """One stage in one process: one consumer group, one agent, in order within each partition."""

    def __init__(
        self,
        stage: AnyStage,
        codec: Codec,
        bootstrap_servers: str,
        *,
        store: ValueStore | None = None,
        trial: Sequence[str] | None = None,
        stall_s: float = STALL_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`store` keeps values that no dead letter can hold; `clock` (seconds since the epoch) stamps what is sent.

        `trial` is the command line of a process that tries records which may have killed workers (`trial_child`);
        a process that has not moved for `stall_s` ends itself.
        """
        self.stage = stage
        self.bootstrap_servers = bootstrap_servers
        self.states: dict[int, PartitionState[Any]] = {}
        self.positions = PositionKeeper(self.states, stage.state_topic)
        self.outbox = Outbox()
        self.lookout = Lookout(note_command(bootstrap_servers, stage.state_topic))
        self.pulse = Pulse(self, stall_s)
        self.breaker = Breaker(self, trial)
        self.strangers = Strangers(self)
        self.stage_loop = StageLoop(
            stage,
            codec,
            self.outbox,
            self.states,
            self._flush,
            restore_again=self._restore_some,
            store=store,
            moved=self.pulse.moved,
            in_hand=self.lookout.in_hand,
        )
        #: What Faust's transaction manager hands its calls to.
        self.transactions = Transactions(
            self.outbox,
            Producers(
                self._new_transactional_producer,
                Hanging(bootstrap_servers, stage.group, stage.state_topic),
                group=stage.group,
                stage_name=stage.name,
            ),
            stage_name=stage.name,
            group=stage.group,
            restore=self._restore,
            before_release=stage.on_revoked,
            committed_offsets=self._committed_offsets,
            on_committed=self._on_committed,
            rework=self.stage_loop,
            crash=self.crash,
            fenced_patience_s=2 * SESSION_TIMEOUT_S,
            stamps=Stamps(clock),
            with_positions=self.positions.with_positions,
        )
        super().__init__(
            stage.group,
            broker=[URL(f"kafka://{server.strip()}") for server in bootstrap_servers.split(",")],
            broker_credentials=credentials_of(bootstrap_servers),
            processing_guarantee="exactly_once",
            broker_session_timeout=SESSION_TIMEOUT_S,
            broker_heartbeat_interval=HEARTBEAT_S,
            broker_rebalance_timeout=REBALANCE_TIMEOUT_S,
            broker_commit_interval=COMMIT_INTERVAL_S,
            consumer_metadata_max_age_ms=METADATA_MAX_AGE_MS,
            # Commits are ours; Faust's by count would only add calls.
            broker_commit_every=1_000_000_000,
            broker_max_poll_records=stage.max_batch * BUFFER_BATCHES,
            stream_buffer_maxsize=stage.max_batch * BUFFER_BATCHES,
            stream_wait_empty=True,
            stream_recovery_delay=0.0,
            consumer_auto_offset_reset="earliest",
            topic_disable_leader=True,
            topic_allow_declare=False,
            producer_acks=-1,
            web_enabled=False,
            web_host="127.0.0.1",
            web_tables_enabled=False,
            store="memory://",
        )
        # Faust calls the transaction manager only in a worker; we are one, without its command line.
        self.in_worker = True
        channel = self.topic(
            *stage.inputs, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        self.agent(channel, name=stage.name)(self._work)

    def _create_directories(self) -> None:
        # Folders for Faust's tables, which we do not use: a worker writes nothing to disk.
        return

    def _new_transport(self) -> Transport:
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)

    def set_topics(self, count: int, topic_ids: Mapping[str, str]) -> None:
        """Tell every part that needs it how many partitions each topic has, and the inputs' ids; before `start`."""
        self.positions.topic_ids = topic_ids
        self.positions.partition_count = count
        self.stage.partition_count = count
        self.stage_loop.encoder.partition_count = count
        CopartitionedAssignor.partition_count = count

    def unread(self) -> tuple[dict[Any, int], bool]:
        """Where the stage reads, and whether records wait behind that; see `Consumer.unread`."""
        # Not `self.consumer`: asking for it makes it.
        consumer = self._consumer
        return ({}, False) if consumer is None else consumer.unread()

    def ends(self) -> dict[Any, Ends]:
        """Where its partitions end; see `Consumer.ends`."""
        return {} if self._consumer is None else self._consumer.ends()

    async def _work(self, stream: Any) -> None:
        batches: AsyncIterator[list[Any]] = stream.take_events(self.stage.max_batch, within=self.stage.within_s)
        async for events in batches:
            # Faust acknowledges the events of an agent that raised and starts the agent again: the next batch would be
            # committed and this one lost. So the first failure here is the last thing this process does.
            if self.crashed:
                return
            try:
                with self.pulse.batch():
                    await self.stage_loop.process([event.message for event in events])
            except Exception as error:
                self.outbox.close()
                logger.error("%s cannot go on: %s", self.stage.name, type(error).__name__)
                await self.crash(error)
                return

    def _new_transactional_producer(self, transactional_id: str) -> AIOKafkaProducer:
        """A producer of its own for one partition."""
        # A dead letter may be larger than the largest record that any topic takes.
        return stage_producer(self.bootstrap_servers, transactional_id, MAX_DEAD_LETTER_BYTES)

    async def _restore(self, partitions: set[int]) -> None:
        """Read the state of every partition anew; called after fencing and before the first read.

        Raises PartitionsChangedError.
        """
        self.positions.refuse_others(partitions)
        self.states.clear()
        self.states.update(
            await restore_partitions(self.bootstrap_servers, self.stage.state_topic, partitions, self.stage.new_state)
        )
        self.stage_loop.on_restored()
        self.stage.on_assigned({partition: state.own for partition, state in self.states.items()})

    async def _restore_some(self, partitions: set[int]) -> None:
        """Read the state of some of the partitions anew; all others stay as they are."""
        self.states.update(
            await restore_partitions(self.bootstrap_servers, self.stage.state_topic, partitions, self.stage.new_state)
        )
        self.stage.on_assigned({partition: state.own for partition, state in self.states.items()})

    async def _committed_offsets(self, partition: int) -> dict[str, int]:
        return await asyncio.to_thread(
            committed_offsets, self.bootstrap_servers, self.stage.group, self.stage.inputs, partition
        )

    async def _flush(self) -> None:
        await self.transactions.flush()

    def _on_committed(self, partition: int, batch: Batch) -> None:
        self.positions.committed(partition, batch)
        self.stage_loop.on_committed(partition, batch)
        self.breaker.committed(partition, batch.offsets)
        metrics.OUTBOX.labels(self.stage.name).set(self.outbox.waiting())


async def watch_lateness(stage_name: str, interval_s: float = 0.1) -> None:
    """Measure how late timers fire: the sign of a stage that blocks the event loop. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    lateness = metrics.LATENESS.labels(stage_name)
    due = loop.time() + interval_s
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        lateness.observe(max(0.0, loop.time() - due))
        due = max(due + interval_s, loop.time())
