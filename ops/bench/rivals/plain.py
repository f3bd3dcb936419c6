"""A plain confluent-kafka loop: consume, transform, produce; in transactions, or flushed before offsets are committed.

Run as a process: `python -m ops.bench.rivals.plain inference|grading|escalation transactions|at-least-once`.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from itertools import chain

from confluent_kafka import Consumer, Message, Producer

from ops.bench.rivals import FLOW
from ops.bench.rivals.work import Done, Work
from schemas.envelope.partitioner import LIBRDKAFKA_PARTITIONER
from streams.runtime.app import COMMIT_INTERVAL_S, SESSION_TIMEOUT_S
from streams.settings import Settings
from streams.stages.inference.stage import MAX_BATCH, WITHIN_S

#: The most records per transaction of the light steps, as in the pipeline.
LIGHT_BATCH = 500


def transform(work: Work, stage: str) -> Callable[[Sequence[bytes]], list[Done]]:
    """The function that turns the record values of a stage into the records to produce."""
    if stage == "inference":
        return work.infer
    if stage == "grading":
        return work.grade
    return lambda values: list(chain.from_iterable(work.escalate(values)))


def run(stage: str, transactions: bool, settings: Settings) -> None:
    """Process records until SIGTERM."""
    source, target = FLOW[stage]
    heavy = stage == "inference"
    batch = max(MAX_BATCH.values()) if heavy else LIGHT_BATCH
    work = Work(settings, batch)
    if heavy:
        assert work.predictor
    step = transform(work, stage)
    common = {"bootstrap.servers": settings.bootstrap_servers, "log_level": 0}
    consumer = Consumer(
        {
            **common,
            "group.id": f"bench-plain-{stage}",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            "session.timeout.ms": int(SESSION_TIMEOUT_S * 1000),
        }
    )
    producer = Producer(
        {
            **common,
            "enable.idempotence": True,
            "linger.ms": 5,
            **({"transactional.id": f"bench-plain-{stage}"} if transactions else {}),
            **LIBRDKAFKA_PARTITIONER,
        }
    )
    if transactions:
        producer.init_transactions(30)
    consumer.subscribe([source])
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    while not stopped:
        messages = consumer.consume(batch, max(WITHIN_S.values()) if heavy else COMMIT_INTERVAL_S)
        values = [message.value() or b"" for message in messages if message.error() is None]
        if values:
            _carry_out(consumer, producer, target, step(values), messages, transactions)
    consumer.close()


def _carry_out(
    consumer: Consumer,
    producer: Producer,
    target: str,
    records: Sequence[Done],
    messages: Sequence[Message],
    transactions: bool,
) -> None:
    if transactions:
        producer.begin_transaction()
    for key, value in records:
        producer.produce(target, value, key=key)
        producer.poll(0)
    if transactions:
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 30
        )
        producer.commit_transaction(30)
    else:
        producer.flush(30)
        consumer.commit(asynchronous=False)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2] == "transactions", Settings.from_env())
