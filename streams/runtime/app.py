"""A Faust app that runs one stage exactly once.

Faust consumes, rebalances and drives; transactions, state and offsets are ours (`transactions`, `state`, `outbox`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from yarl import URL

from streams import metrics
from streams.runtime.loop import StageLoop
from streams.runtime.outbox import Batch, Outbox
from streams.runtime.stage import Stage
from streams.runtime.state import PartitionState, restore_partitions
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

    def __init__(self, stage: Stage, serde: Any, bootstrap_servers: str, **options: Any) -> None:
        self.outbox = Outbox()
        self.stage = stage
        self.stage_name = stage.name
        self.bootstrap_servers = bootstrap_servers
        self.states: dict[int, PartitionState] = {}
        self.stage_loop = StageLoop(self, stage, serde)
        super().__init__(
            stage.group,
            broker=[URL(f"kafka://{server.strip()}") for server in bootstrap_servers.split(",")],
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
            **options,
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

    async def _work(self, stream: Any) -> None:
        batches: AsyncIterator[list[Any]] = stream.take_events(self.stage.max_batch, within=self.stage.within_s)
        async for events in batches:
            # Faust acknowledges the events of an agent that raised and starts the agent again: the next batch would be
            # committed and this one lost. So the first failure here is the last thing this process does.
            if self.crashed:
                return
            try:
                await self.stage_loop.process(events)
            except Exception as error:
                self.outbox.close()
                logger.error("%s cannot go on: %s", self.stage_name, type(error).__name__)
                await self.crash(error)
                return

    def new_transactional_producer(self, transactional_id: str) -> AIOKafkaProducer:
        """A producer of its own for one partition."""
        return AIOKafkaProducer(
            bootstrap_servers=[server.strip() for server in self.bootstrap_servers.split(",")],
            transactional_id=transactional_id,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            # A dead letter may be larger than the largest record that any topic takes.
            max_request_size=MAX_DEAD_LETTER_BYTES,
            # Kafka answers "not enough replicas" while the markers of the last transaction are being written (KIP-890).
            # That takes a few milliseconds; the default pause of 100 ms would be added to an emergency on its way.
            retry_backoff_ms=10,
            request_timeout_ms=20_000,
            # Longer than a broker's restart, shorter than anyone's patience: until then a dead worker's open
            # transaction hides what follows it. A new owner aborts it at once, so this is for partitions nobody takes.
            transaction_timeout_ms=20_000,
        )

    async def restore_state(self, partitions: set[int]) -> None:
        """Read the state of every partition anew; called between fencing and the first read."""
        self.states.clear()
        self.states.update(
            await restore_partitions(self.bootstrap_servers, self.stage.state_topic, partitions, self.stage.new_state)
        )
        self.stage_loop.on_restored()
        self.stage.on_assigned({partition: state.own for partition, state in self.states.items()})

    async def flush_outbox(self) -> None:
        """Carry out what is complete now, without waiting for the commit interval."""
        await self.consumer.transactions.flush()

    def on_committed(self, partition: int, batch: Batch) -> None:
        """Called after each transaction."""
        self.stage_loop.on_committed(partition, batch)
        metrics.OUTBOX.labels(self.stage_name).set(self.outbox.waiting())


async def watch_lateness(stage_name: str, interval_s: float = 0.1) -> None:
    """Measure how late timers fire: the sign of a stage that blocks the event loop. Runs until cancelled."""
    loop = asyncio.get_running_loop()
    lateness = metrics.LATENESS.labels(stage_name)
    due = loop.time() + interval_s
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        lateness.observe(max(0.0, loop.time() - due))
        due = max(due + interval_s, loop.time())
