"""A backlog through one contestant: how many cases a second it finishes, and what each costs."""

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

#: A contestant that finishes nothing for so long is stuck, or has lost what is missing. Celery hands a dead worker's
#: tasks to another after the visibility timeout of 30 s, for which it looks every 100 s.
STUCK_S = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """`rate` in cases a second; CPU in seconds per 1,000 cases and memory (PSS) in MiB, by process."""

    name: str
    rate: float
    cpu_s_per_1000: dict[str, float]
    mib: dict[str, float]

    @property
    def cpu_ms(self) -> float:
        """Milliseconds of processor time a case, all processes."""
        return sum(self.cpu_s_per_1000.values())


def backlog(contestant: Contestant, stored: Stored, cases: int) -> Throughput:
    """Start the contestant, let it stand still while `cases` routine cases are published, measure it, stop it.

    From when it may begin to its last result: designs that finish cases one by one and designs that take all cases a
    step further at a time are measured alike. Raises TimeoutError.
    """
    load = [new_case(each, Lane.ROUTINE) for each in stored.repeated(cases)]
    wanted = {case.case_id for case in load}
    contestant.listen()
    contestant.start()
    try:
        warm_up(contestant, stored)
        # Well within the session timeout of its consumers.
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
    """Wait until a contestant that was just started answers in both lanes, in batches of every size."""
    for count in (1, 2 * MAX_BATCH[Lane.ROUTINE]):
        cases = [new_case(each, lane) for each in stored.repeated(count) for lane in (Lane.EMERGENCY, Lane.ROUTINE)]
        contestant.publish(cases)
        wait(contestant, {case.case_id for case in cases})


def wait(contestant: Contestant, wanted: Set[UUID]) -> Answered:
    """What is answered, once all of `wanted` is. Raises TimeoutError when nothing more comes."""
    done = wait_if_it_comes(contestant, wanted)
    if not wanted <= done.keys():
        raise TimeoutError(f"{contestant.name}: {len(done)} cases, and nothing more for {STUCK_S:.0f} s")
    return done


def wait_if_it_comes(contestant: Contestant, wanted: Set[UUID]) -> Answered:
    """What is answered, once all of `wanted` is, or nothing more comes."""
    best, since = -1, time.monotonic()
    while not wanted <= (done := contestant.answered()).keys():
        if len(done) > best:
            best, since = len(done), time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            break
    return done


def bare_loop(stored: Stored, cases: int) -> Throughput:
    """Fetching and judging alone, in batches as the stage makes them, one thread, without Kafka."""
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
