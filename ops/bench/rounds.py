"""A backlog through one contestant: how many cases a second it finishes, and what each costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from inference.findings import ImageProblem
from ops.bench.contestant import Answered, Contestant
from ops.bench.load import Stored, new_case
from schemas.events import Lane
from streams.inference import MAX_BATCH
from streams.stages import load_predictor

#: What is measured begins when this share of the backlog is done: by then every process is up and warm.
WARM = 0.1
#: A contestant that finishes nothing for so long is stuck.
STUCK_S = 120.0


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
    """Publish `cases` routine cases, start the contestant, measure, stop it. Raises TimeoutError."""
    load = [new_case(stored.references[at % len(stored.references)], Lane.ROUTINE) for at in range(cases)]
    wanted = {case.case_id for case in load}
    contestant.listen()
    try:
        contestant.publish(load)
        contestant.start()
        warm = wait(contestant, lambda done: len(wanted & done.keys()) >= WARM * cases)
        counted, before = len(wanted & warm.keys()), contestant.used()
        done = wait(contestant, lambda done: wanted <= done.keys())
        after = contestant.used()
    finally:
        contestant.stop()
        contestant.close()
    times = sorted(done[case_id] for case_id in wanted)
    first = int(WARM * cases)
    return Throughput(
        name=contestant.name,
        rate=(cases - 1 - first) / (times[-1] - times[first]),
        cpu_s_per_1000={
            name: 1000 * (after[name][0] - spent) / (cases - counted)
            for name, (spent, _) in before.items()
            if name in after
        },
        mib={name: mib for name, (_, mib) in after.items()},
    )


def wait(contestant: Contestant, enough: Callable[[Answered], bool]) -> Answered:
    """What is answered, once it is `enough`. Raises TimeoutError when nothing more comes."""
    best, since = -1, time.monotonic()
    while not enough(done := contestant.answered()):
        if len(done) > best:
            best, since = len(done), time.monotonic()
        elif time.monotonic() - since > STUCK_S:
            raise TimeoutError(f"{contestant.name}: {len(done)} cases, and nothing more for {STUCK_S:.0f} s")
    return done


def bare_loop(stored: Stored, cases: int) -> Throughput:
    """Fetching and judging alone, in batches as the stage makes them, one thread, without Kafka."""
    batch = MAX_BATCH[Lane.ROUTINE]
    predictor = load_predictor(None, batch, None)
    predictor.warm_up()
    references = [stored.references[at % len(stored.references)] for at in range(cases)]
    began, spent = time.perf_counter(), time.process_time()
    for begin in range(0, cases, batch):
        pictures = [stored.store.fetch(reference) for reference in references[begin : begin + batch]]
        answers: Sequence[object] = predictor.predict(pictures)
        assert not any(isinstance(each, ImageProblem) for each in answers)
    rate = cases / (time.perf_counter() - began)
    used = 1000 * (time.process_time() - spent) / cases
    predictor.close()
    return Throughput(name="bare loop", rate=rate, cpu_s_per_1000={"loop": used}, mib={})
