"""Measures a backlog through one contestant: cases per second, and CPU and memory per process."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from uuid import UUID

from inference.findings import ImageProblem
from ops.bench.contestant import Answered, Contestant
from ops.bench.load import Stored, new_case
from schemas.events import Lane
from streams.stages.inference.build import load_predictor
from streams.stages.inference.stage import MAX_BATCH

#: A contestant that finishes nothing for this long is stuck, or has lost the missing cases. Celery hands the tasks of a
#: dead worker to another after the visibility timeout of 30 s, which it checks every 100 s.
STUCK_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """`rate` in cases per second; CPU in seconds per 1,000 cases and memory (PSS) in MiB, by process."""

    name: str
    rate: float
    cpu_s_per_1000: dict[str, float]
    mib: dict[str, float]

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time per case, of all processes."""
        return sum(self.cpu_s_per_1000.values())


def backlog(contestant: Contestant, stored: Stored, cases: int) -> Throughput:
    """Start the contestant, suspend it while `cases` routine cases are published, measure it, stop it.

    Measured from when it is resumed to its last result, so that designs which finish cases one by one and designs which
    take all cases through one step after the other are treated alike. Raises TimeoutError.
    """
    load = [new_case(each, Lane.ROUTINE) for each in stored.repeated(cases)]
    wanted = {case.case_id for case in load}
    contestant.listen()
    contestant.start()
    try:
        warm_up(contestant, stored)
        # Publishing takes much less than the session timeout of its consumers.
        with contestant.paused():
            contestant.publish(load)
            before = contestant.used()
            began = time.time()
        done = wait(contestant, wanted)
        after = contestant.used()
    finally:
        contestant.stop()
        contestant.close()
    return Throughput(
        name=contestant.name,
        rate=cases / (max(done[case_id] for case_id in wanted) - began),
        cpu_s_per_1000={
            name: 1000 * (after[name][0] - spent) / cases for name, (spent, _) in before.items() if name in after
        },
        mib={name: mib for name, (_, mib) in after.items()},
    )


def warm_up(contestant: Contestant, stored: Stored) -> None:
    """Wait until a contestant that was just started answers in both lanes, with one case and with full batches."""
    for count in (1, 2 * MAX_BATCH[Lane.ROUTINE]):
        cases = [new_case(each, lane) for each in stored.repeated(count) for lane in (Lane.EMERGENCY, Lane.ROUTINE)]
        contestant.publish(cases)
        wait(contestant, {case.case_id for case in cases})


def wait(contestant: Contestant, wanted: Set[UUID]) -> Answered:
    """The answered cases, once all of `wanted` are among them. Raises TimeoutError after `STUCK_S` without a new
    one."""
    done = wait_if_it_comes(contestant, wanted)
    if not wanted <= done.keys():
        raise TimeoutError(f"{contestant.name}: {len(done)} cases, and nothing more for {STUCK_S:.0f} s")
    return done


def wait_if_it_comes(contestant: Contestant, wanted: Set[UUID]) -> Answered:
    """The answered cases, once all of `wanted` are among them or no new one came for `STUCK_S`."""
    best, since = -1, time.monotonic()
    while not wanted <= (done := contestant.answered()).keys():
        if len(done) > best:
            best, since = len(done), time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            break
    return done


def bare_loop(stored: Stored, cases: int) -> Throughput:
    """Measure fetching and judging alone, in batches as the stage makes them, in one thread, without Kafka."""
    batch = MAX_BATCH[Lane.ROUTINE]
    predictor = load_predictor(None, batch, None)
    predictor.warm_up()
    references = stored.repeated(cases)
    began, spent = time.perf_counter(), time.process_time()
    for begin in range(0, cases, batch):
        pictures = [stored.store.fetch(reference) for reference in references[begin : begin + batch]]
        answers: Sequence[object] = predictor.predict(pictures)
        assert not any(isinstance(each, ImageProblem) for each in answers)
    rate = cases / (time.perf_counter() - began)
    used = 1000 * (time.process_time() - spent) / cases
    predictor.close()
    return Throughput(name="bare loop", rate=rate, cpu_s_per_1000={"loop": used}, mib={})
