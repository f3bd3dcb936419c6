"""The child of `streams.runtime.trial`: reads a record, lets the stage handle it, and says that it is still there.

Nothing that it makes leaves it: it has no transaction, commits nothing, and its stage is assigned nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.envelope.audit import sha256_hex
from schemas.envelope.raw import RawRecord, plain_raw
from streams.broker.clients import observer
from streams.broker.headers import headers_of
from streams.broker.read import stable_end
from streams.liveness import Heart
from streams.runtime.dead_letter import needs_pointer
from streams.runtime.decoding import Codec
from streams.runtime.lookout_child import LOOK_S
from streams.runtime.processor import Item, Processor
from streams.runtime.stage import AnyStage
from streams.runtime.state import PartitionState, restore_partitions
from streams.runtime.trial import HANDLE_S, MOVES, READ_S, START_S


def serve_trials(stage: AnyStage, codec: Codec, bootstrap_servers: str) -> int:
    """Answer the parent on standard output until it closes standard input; the exit code."""
    # What libraries print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="ascii", buffering=1)
    os.dup2(2, 1)
    # Should the parent be killed meanwhile, nobody else ends a child that does not come back from a record.
    heart = Heart(stall_s=max(START_S, READ_S, stage.limit_s + HANDLE_S) + READ_S)
    heart.beat()
    asyncio.run(_Child(stage, codec, bootstrap_servers, answers, heart).serve())
    return 0


class _Child:
    def __init__(self, stage: AnyStage, codec: Codec, bootstrap_servers: str, answers: Any, heart: Heart) -> None:
        self._stage = stage
        self._processor = Processor(stage, codec)
        self._bootstrap_servers = bootstrap_servers
        self._answers = answers
        self._heart = heart
        self._states: dict[int, PartitionState[Any]] = {}
        self._readers: dict[tuple[str, int], Consumer] = {}

    async def serve(self) -> None:
        await self._stage.start()
        self._answer({"ready": True})
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.buffer.readline):
            self._heart.beat()
            question = json.loads(line)
            topic, partition, offset = question["topic"], question["partition"], question["offset"]
            try:
                message = await asyncio.to_thread(self._read, topic, partition, offset)
            except (KafkaException, TimeoutError):
                self._answer({"failed": True})
                continue
            if isinstance(message, int):
                self._answer({"none": True, "offset": message})
                continue
            raw = _raw(message)
            self._answer({"record": plain_raw(_bounded(raw))})
            if question["handle"]:
                moving = asyncio.ensure_future(self._tell_that_it_moves())
                try:
                    await self._handle(raw)
                finally:
                    moving.cancel()
                self._answer({"handled": True})

    async def _tell_that_it_moves(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self._answer({MOVES: True})

    async def _handle(self, raw: RawRecord) -> None:
        """As the worker would; what it says of a bad record is for the worker to say, so only dying counts."""
        state = self._states.get(raw.partition)
        if state is None:
            state = (
                await restore_partitions(
                    self._bootstrap_servers, self._stage.state_topic, {raw.partition}, self._stage.new_state
                )
            )[raw.partition]
            self._states[raw.partition] = state
        item: Item[Any, Any] = Item(raw, 0, state)
        await self._processor.process([item])
        self._processor.records(item)

    def _read(self, topic: str, partition: int, offset: int) -> Message | int:
        """The first record from `offset` on, or the end of the partition."""
        reader = self._readers.get((topic, partition))
        if reader is None:
            reader = self._readers[topic, partition] = observer(self._bootstrap_servers)
        end = stable_end(reader, (topic, partition), READ_S / 2)
        reader.assign([TopicPartition(topic, partition, offset)])
        while True:
            message = reader.poll(READ_S / 2)
            if message is None:
                raise TimeoutError
            error = message.error()
            if error is None:
                return message
            if error.code() == KafkaError._PARTITION_EOF:
                # Not the first "end" that is reported: see `stable_end`.
                if message.offset() >= end:
                    return int(message.offset())
            elif not error.retriable():
                raise KafkaException(error)

    def _answer(self, answer: dict[str, Any]) -> None:
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()


def _raw(message: Message) -> RawRecord:
    _, timestamp_ms = message.timestamp()
    headers = headers_of(message)
    return RawRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=timestamp_ms,
        key=message.key(),
        value=message.value(),
        headers=tuple((name, content if content is None else bytes(content)) for name, content in headers),
    )


def _bounded(raw: RawRecord) -> RawRecord:
    """Without the bytes of a value that no dead letter holds: they stay out of the parent's memory."""
    if not needs_pointer(raw):
        return raw
    return replace(raw, value=None, held=False, size=len(raw.value or b""), sha256=sha256_hex(raw.value))
