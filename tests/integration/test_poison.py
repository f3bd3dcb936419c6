"""Records that once ended a worker for ever: people are asked about each, and the emergency behind it is judged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition
from confluent_kafka import Producer

from ops.system.system import System
from schemas.envelope.dead_letter import POINTER, PREFIX
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER, partition_of
from schemas.envelope.pointer import Pointer
from schemas.events import GradingKind, Lane
from streams import topics
from streams.audit.auditor import Auditor
from tests.integration.cases import Publisher
from tests.integration.watcher import Watcher
from tests.unit.runtime.test_fetching import batch, corrupted_name

TOPIC = topics.CASES_EMERGENCY
Send = Callable[[Publisher, UUID], None]


@pytest.fixture(scope="module")
def publisher(pipeline: System) -> Publisher:
    return Publisher.of(pipeline.settings)


def produce(publisher: Publisher, key: bytes | None, value: bytes | None, number: int, **more: Any) -> None:
    settings = more.pop("settings", {})
    producer = Producer(
        {"bootstrap.servers": publisher.settings.bootstrap_servers, **LIBRDKAFKA_PARTITIONER, **settings}
    )
    errors: list[Any] = []
    producer.produce(TOPIC, value, key, number, on_delivery=lambda error, _: errors.append(error), **more)
    assert producer.flush(60) == 0
    assert errors == [None]


def partition(publisher: Publisher, case_id: UUID) -> int:
    return partition_of(str(case_id).encode(), publisher.settings.partitions)


def headers(value: Sequence[tuple[str, bytes | None]]) -> Send:
    return lambda publisher, case_id: produce(
        publisher, str(case_id).encode(), b"junk", partition(publisher, case_id), headers=list(value)
    )


def compressed(codec: str, megabytes: int) -> Send:
    settings = {"compression.type": codec, "message.max.bytes": 900_000_000}
    return lambda publisher, case_id: produce(
        publisher, str(case_id).encode(), bytes(megabytes * 2**20), partition(publisher, case_id), settings=settings
    )


def bare(key: bytes | None, value: bytes | None) -> Send:
    return lambda publisher, case_id: produce(publisher, key, value, partition(publisher, case_id))


def from_before_christ(publisher: Publisher, case_id: UUID) -> None:
    # The public client refuses such a time; another one need not.
    raw_batch(publisher, case_id, batch([(str(case_id).encode(), b"junk", [])], 0), first_time=-(10**14))


def odd_name(publisher: Publisher, case_id: UUID) -> None:
    raw_batch(publisher, case_id, corrupted_name(batch([(str(case_id).encode(), b"junk", [("NAME", b"1")])], 0)))


def raw_batch(publisher: Publisher, case_id: UUID, data: bytes, first_time: int | None = None) -> None:
    """Send a batch as it is."""
    import struct

    from aiokafka.record._crc32c import crc as crc32c

    changed = bytearray(data)
    now = int(time.time() * 1000) if first_time is None else first_time
    struct.pack_into(">qq", changed, 27, now, now)
    struct.pack_into(">I", changed, 17, crc32c(bytes(changed[21:])))
    number = partition(publisher, case_id)

    async def work() -> None:
        client = AIOKafkaClient(bootstrap_servers=publisher.settings.bootstrap_servers)
        await client.bootstrap()
        try:
            await client.force_metadata_update()
            await client._wait_on_metadata(TOPIC)
            node = client.cluster.leader_for_partition(TopicPartition(TOPIC, number))
            request = ProduceRequest(
                transactional_id=None, required_acks=-1, timeout=10_000, topics=[(TOPIC, [(number, bytes(changed))])]
            )
            answer = await client.send(node, request)
            assert answer.topics[0][1][0][1] == 0, answer
        finally:
            await client.close()

    asyncio.run(work())


POISONS: dict[str, tuple[Send, bytes]] = {
    "no_key_no_value": (bare(None, None), b"undecodable"),
    "tombstone": (lambda p, c: produce(p, str(c).encode(), None, partition(p, c)), b"undecodable"),
    "attempt_null": (headers([("vigia.attempt", None)]), b"undecodable"),
    "attempt_5000_digits": (headers([("vigia.attempt", b"9" * 5_000)]), b"undecodable"),
    "many_headers": (headers([("h", b"x")] * 20_000), b"undecodable"),
    "large_header": (headers([("h", b"x" * 900_000)]), b"undecodable"),
    "large_key": (lambda p, c: produce(p, b"k" * 900_000, b"junk", partition(p, c)), b"undecodable"),
    "time_before_christ": (from_before_christ, b"undecodable"),
    "name_no_utf8": (odd_name, b"undecodable"),
    "3_mb_lz4": (compressed("lz4", 3), b"record_too_large"),
    "3_mb_gzip": (compressed("gzip", 3), b"record_too_large"),
    "500_mb_zstd": (compressed("zstd", 500), b"record_too_large"),
}


@pytest.mark.parametrize("kind", POISONS)
def test_an_emergency_behind_it_is_judged_and_people_are_asked_about_it(
    pipeline: System, publisher: Publisher, watcher: Watcher, kind: str
) -> None:
    send, reason = POISONS[kind]
    sound = publisher.case(lane=Lane.EMERGENCY)
    watcher.settle()
    before = len(watcher.records)
    send(publisher, sound.case_id)
    publisher.send_case(sound)
    graded = watcher.until(
        lambda seen: (
            seen.topic == topics.GRADINGS
            and getattr(seen.event, "kind", None) is GradingKind.DECISION
            and seen.event.case_id == sound.case_id
        ),
        what="the grading of the case behind it",
    )
    assert len(graded) == 1
    new = watcher.settle()[before:]
    (letter,) = [each for each in new if each.topic == topics.DEAD_LETTERS]
    assert letter.headers[PREFIX + "reason"] == reason
    if reason == b"record_too_large":
        assert POINTER in letter.headers
        pointer = Pointer.from_bytes(letter.value)
        assert pointer is not None
        assert pointer.size is not None
        assert pointer.size > 2_000_000
    asked = [each.event for each in new if each.topic == topics.GRADINGS and each.event.kind is GradingKind.QUARANTINE]
    assert len(asked) == 1
    assert asked[0].lane is Lane.EMERGENCY


def test_no_worker_ended_of_any_of_them_and_the_chain_of_the_audit_holds(
    pipeline: System, publisher: Publisher
) -> None:
    report = Auditor(publisher.settings.bootstrap_servers, publisher.serde.registry).verify()
    about = [
        each for each in report.findings if each.topic in (TOPIC, topics.DEAD_LETTERS, topics.AUDIT, topics.GRADINGS)
    ]
    assert about == []
