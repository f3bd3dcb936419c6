"""A record that kills its worker, or freezes it, is found and laid aside by pointer; all around it comes out."""

from __future__ import annotations

import logging
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from ops.embedded.process import ChildProcess
from ops.system.supervisor import Supervisor
from schemas.envelope.dead_letter import PREFIX
from schemas.envelope.partitioner import partition_of_case
from schemas.envelope.pointer import Pointer
from schemas.events import CaseEvent, Lane
from tests.counting import case
from tests.integration.deadly_stage import ABORTS, HOLDS_THE_LOCK, HOLDS_THE_LOCK_HERE, NEVER_ENDS
from tests.integration.test_refused import PARTITIONS, Bench
from tests.services import KafkaService, RegistryService

PATIENCE_S = 600.0


@pytest.fixture
def bench(kafka: KafkaService, registry: RegistryService, unique: str, tmp_path: Path) -> Bench:
    return Bench(kafka, registry, unique, tmp_path)


@contextmanager
def supervised(bench: Bench) -> Iterator[list[str]]:
    """One worker under a supervisor; what the supervisor said."""
    lines: list[str] = []
    command = [sys.executable, "-m", "tests.integration.deadly_stage"]
    child = ChildProcess(
        "deadly", [*command, bench.kafka.bootstrap_servers, bench.registry.url, bench.prefix], log=bench.log
    )
    with Supervisor([child], lines.append):
        yield lines


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def case_on(partition: int) -> UUID:
    return next(one for one in iter(uuid4, None) if partition_of_case(one.bytes, PARTITIONS) == partition)


def emergency(case_id: UUID, producer: str = "test") -> CaseEvent:
    return case(case_id, uuid4(), producer, Lane.EMERGENCY)


@pytest.mark.timeout(1500)
@pytest.mark.parametrize(
    ("how", "reason", "deaths"),
    [
        (ABORTS, "kills_worker", range(3, 4)),
        # A freeze is attributed: one is enough. It was four at 3f24925, of half a minute each.
        (HOLDS_THE_LOCK, "kills_worker", range(1, 2)),
        # Nobody has to die of what only waits.
        (NEVER_ENDS, "handling_timeout", range(1)),
        # Sound where it is tried, so it is found by what happens where nothing else is in hand. It was without end.
        (HOLDS_THE_LOCK_HERE, "kills_worker", range(4, 5)),
    ],
)
def test_a_deadly_record_is_laid_aside_and_every_case_around_it_is_counted_once(
    bench: Bench, how: str, reason: str, deaths: range
) -> None:
    before, deadly, behind = (case_on(0) for _ in range(3))
    others = [case_on(partition) for partition in range(1, PARTITIONS)]
    poison = emergency(deadly, how)
    sound = [emergency(before), emergency(behind), *map(emergency, others), emergency(deadly)]
    published = time.monotonic()
    bench.publish([sound[0], poison, *sound[1:]])
    told: list[str] = []
    if deaths:
        with supervised(bench) as lines:
            until(lambda: died(lines) >= min(2, deaths[-1]))
        told += lines
    # What is known survives a restart of the supervisor, too.
    with supervised(bench) as lines:
        until(lambda: re.search(rb"is laid aside|handling_timeout", bench.log.read_bytes()) is not None)
        outputs = bench.outputs(len(sound))
        letters, gradings, entries = bench.told({deadly})
        waited = time.monotonic() - published
        told += lines
    # The sound record before it may be committed after the first deaths, and then its place is another one.
    assert died(told) in range(deaths.start, deaths.stop + 2), told
    logging.getLogger(__name__).warning("%s: all out after %.0f s, %s deaths", how, waited, died(told))
    assert Counter(entry.source_event_id for entry in outputs) == {event.event_id: 1 for event in sound}
    (letter,) = letters
    assert dict(letter.headers() or ())[PREFIX + "reason"].decode() == reason
    assert [grading.case_id for grading in gradings] == [deadly]
    assert [entry.outcome for entry in entries if "dead_letter" in entry.outcome] == [f"dead_letter:{reason}"]
    value = bench.serde.encode(poison, "counting.in")
    if reason == "kills_worker":
        pointer = Pointer.from_bytes(letter.value())
        assert pointer is not None
        assert (pointer.topic, pointer.partition, pointer.size) == (f"{bench.prefix}in", 0, len(value))
    else:
        assert letter.value() == value


def died(lines: list[str]) -> int:
    return sum("ended with exit code" in line for line in lines)
