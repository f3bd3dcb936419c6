"""How long a takeover reads the events that a stage remembers: `python -m ops.bench.takeover [COUNT …]`.

Writes so many marks to one partition of a state topic, as a stage does, and restores it in a process of its own; shows
seconds (of the clock, and of the processor, which depends less on what else the machine does), and bytes per event, as
counted and as the process grew.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from ops.embedded import EmbeddedKafka
from streams.runtime.stage import NoState
from streams.runtime.state import SEEN, restore_partitions

COUNTS = (100_000, 1_000_000)
#: As much as librdkafka's queue holds; then it is asked to send.
_FLUSH_EVERY = 50_000


def main() -> None:
    """Measure each count, or restore one topic where this process was started to."""
    if sys.argv[1:2] == ["--restore"]:
        _restore(*sys.argv[2:])
        return
    counts = tuple(int(count) for count in sys.argv[1:]) or COUNTS
    with tempfile.TemporaryDirectory(prefix="vigia-takeover-") as folder, EmbeddedKafka(Path(folder)) as kafka:
        for count in counts:
            topic = f"vigia.remembered-{count}.state"
            _write(kafka.bootstrap_servers, topic, count)
            command = [sys.executable, "-m", "ops.bench.takeover", "--restore", kafka.bootstrap_servers, topic]
            subprocess.run(command, check=True)


def _write(servers: str, topic: str, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    new = NewTopic(topic, 1, 1, config={"cleanup.policy": "compact"})
    admin.create_topics([new])[topic].result(30)
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 50, "compression.type": "lz4"})
    value = int(time.time()).to_bytes(8, "big") + b"contents"
    for number in range(count):
        producer.produce(topic, value, SEEN + os.urandom(16), partition=0)
        if number % _FLUSH_EVERY == 0:
            producer.flush(60)
    if producer.flush(60):
        raise RuntimeError("the broker did not take all marks")


def _restore(servers: str, topic: str) -> None:
    process = psutil.Process()
    before, started, worked = process.memory_info().rss, time.perf_counter(), time.process_time()
    states = asyncio.run(restore_partitions(servers, topic, {0}, lambda _: NoState()))
    seconds, grown = time.perf_counter() - started, process.memory_info().rss - before
    worked = time.process_time() - worked
    marks = states[0].marks
    sys.stdout.write(
        f"{len(marks):>10,} events: {seconds:6.2f} s ({worked:.2f} s of the processor), "
        f"{marks.size_bytes / len(marks):.0f} bytes each held, "
        f"{grown / len(marks):.0f} bytes each by which the process grew\n"
    )


if __name__ == "__main__":
    main()
