"""A worker that is fenced without a rebalance must not sit on its partition for ever: it ends, and another goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from uuid import uuid4

from aiokafka import AIOKafkaProducer
from confluent_kafka import Producer

from schemas.serde import Serde
from tests.chaos.test_runtime_kills import topics
from tests.counting import IN, TOPICS, case
from tests.services import KafkaService, RegistryService


async def fence(bootstrap_servers: str, numbers: range) -> None:
    """Take the transactional ids over, as a zombie that wakes up in the middle of its assignment would."""
    for number in numbers:
        producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, transactional_id=f"vigia-counting-{number}")
        await producer.start()
        await producer.stop()


def test_a_worker_fenced_for_good_ends_so_that_another_can_go_on(
    kafka: KafkaService, registry: RegistryService, tmp_path: Path
) -> None:
    serde = Serde(registry.url)
    serde.register_all(TOPICS)
    log = tmp_path / "worker.log"
    command = [sys.executable, "-m", "tests.chaos.counting_stage", kafka.bootstrap_servers, registry.url]
    with topics(kafka), log.open("wb") as output:
        worker = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            while b"holding partitions" not in log.read_bytes():
                assert worker.poll() is None
                time.sleep(0.05)
            asyncio.run(fence(kafka.bootstrap_servers, range(4)))
            producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "partitioner": "murmur2_random"})
            for _ in range(20):
                event = case(uuid4(), uuid4())
                producer.produce(IN, serde.encode(event, IN), key=str(event.case_id).encode())
            assert producer.flush(30) == 0
            assert worker.wait(120) != 0
        finally:
            worker.kill()
