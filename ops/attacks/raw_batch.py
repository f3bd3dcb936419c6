"""Batches that no public client would send, as bytes."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence

from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record._crc32c import crc
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.structs import TopicPartition

from streams.broker.clients import protocol_client

#: Where a batch (KIP-98) holds its checksum, what that covers, and its first and last time.
_CRC_AT, _COVERED_AT, _TIMES_AT = 17, 21, 27
Item = tuple[bytes | None, bytes | None, Sequence[tuple[str, bytes | None]]]


def batch(items: Sequence[Item], *, first_ms: int | None = None, swap: tuple[bytes, bytes] | None = None) -> bytes:
    """A batch of key, value and headers; `first_ms` in place of its time, one text in it swapped for another as
    long. The checksum is right."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=2**30,
    )
    for at, (key, value, headers) in enumerate(items):
        builder.append(at, timestamp=1_000, key=key, value=value, headers=list(headers))
    data = bytearray(builder.build())
    if swap is not None:
        data = data.replace(*swap)
    when = int(time.time() * 1_000) if first_ms is None else first_ms
    struct.pack_into(">qq", data, _TIMES_AT, when, when)
    struct.pack_into(">I", data, _CRC_AT, crc(bytes(data[_COVERED_AT:])))
    return bytes(data)


def send_batch(bootstrap_servers: str, topic: str, partition: int, data: bytes) -> int:
    """Send a batch as it is; the offset of its first record. Raises RuntimeError where the broker refuses it."""
    return asyncio.run(_send(bootstrap_servers, topic, partition, data))


async def _send(bootstrap_servers: str, topic: str, partition: int, data: bytes) -> int:
    client = protocol_client(bootstrap_servers)
    await client.bootstrap()
    try:
        await client.force_metadata_update()
        await client._wait_on_metadata(topic)
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(
            node,
            ProduceRequest(
                transactional_id=None, required_acks=-1, timeout=10_000, topics=[(topic, [(partition, data)])]
            ),
        )
        _, code, offset, *_ = answer.topics[0][1][0]
        if code != 0:
            raise RuntimeError(f"the broker refused the batch: error {code}")
        return int(offset)
    finally:
        await client.close()
