"""A batch that the client library will not inflate: whoever reads the topic goes past it to what is behind."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from ops.lag.examiner import Examiner, Occasion, Stretch
from ops.lag.index import PartitionIndex
from streams.runtime.restore import read_state
from tests.services import KafkaService

#: Of zeroes; librdkafka inflates up to 100 MB.
INFLATED_BYTES = 120 * 2**20
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def bootstrap(kafka: KafkaService) -> str:
    return kafka.bootstrap_servers


@pytest.fixture
def topic(bootstrap: str, make_topic: Callable[..., str]) -> str:
    """Records 0 and 2 can be read, record 1 cannot."""
    name = make_topic("unreadable", partitions=1)
    settings = {"bootstrap.servers": bootstrap, "compression.type": "zstd", "message.max.bytes": 900_000_000}
    producer = Producer(settings)
    for value in (b"before", bytes(INFLATED_BYTES), b"behind"):
        producer.produce(name, value, b"key", 0)
        # A batch each.
        assert producer.flush(60) == 0
    return name


def test_a_state_is_read_to_its_end_past_it(bootstrap: str, topic: str) -> None:
    assert [entry.value for entry in read_state(bootstrap, topic, [0])] == [b"before", b"behind"]


def test_a_stretch_that_is_counted_anew_is_counted_past_it(bootstrap: str, topic: str) -> None:
    partition = (topic, 0)
    index = PartitionIndex(0)
    index.append(0, 1)
    index.scanned_to(3)
    indexes = {partition: index}
    examiner = Examiner(bootstrap, indexes)
    try:
        examiner.ask(Stretch(partition=partition, occasion=Occasion.RECOUNT, first=0, last=3))
        deadline = time.monotonic() + PATIENCE_S
        while examiner.pending:
            assert time.monotonic() < deadline
            examiner.read(time.monotonic() + 1.0, every_s=60.0)
    finally:
        examiner.close()
    assert index.readable() == 2
