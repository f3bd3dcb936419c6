"""A backlog of routine pictures through the pipeline, against the bare loop with the same model and pictures."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil

from inference.findings import ImageProblem
from ops.bench.arrivals import Arrivals
from ops.bench.load import Stored, new_case, open_producer, publish
from ops.up import System
from schemas.events import Lane
from schemas.serde import Serde
from streams import topics
from streams.inference import MAX_BATCH
from streams.stages import load_predictor

WORKER = "inference-routine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Pictures a second of both, and the CPU seconds a thousand cases by process, of one round."""

    bare: float
    pipeline: float
    cpu_s_per_1000: dict[str, float]


def measure(system: System, stored: Stored, cases: int) -> Round:
    """One round: the bare loop, then the pipeline on a backlog that waits complete before it may begin."""
    bare = bare_loop(stored, cases)
    settings = system.settings
    serde = Serde(settings.schema_registry_url)
    worker = system.workers[WORKER]
    producer = open_producer(settings)
    with Arrivals(settings, serde, (topics.INFERENCES,)) as arrivals:
        # The worker stands still while the backlog is published, well within its session timeout.
        worker.pause()
        load = [new_case(stored.references[at % len(stored.references)], Lane.ROUTINE) for at in range(cases)]
        publish(producer, serde, load)
        before = _cpu(system)
        worker.resume()
        wanted = {case.case_id for case in load}

        def arrived() -> bool:
            return sum(event.case_id in wanted for _, event, _ in arrivals.seen) >= cases

        arrivals.until(arrived, within_s=600)
        after = _cpu(system)
        times = sorted(at for _, event, at in arrivals.seen if event.case_id in wanted)
    # From the first to the last record: what came before the first is the waking up of a stopped process.
    spent = times[-1] - times[0]
    used = {name: 1000 * (after[name] - before[name]) / cases for name in after if name in before}
    return Round(bare=bare, pipeline=(cases - MAX_BATCH[Lane.ROUTINE]) / spent, cpu_s_per_1000=used)


def bare_loop(stored: Stored, cases: int) -> float:
    """Pictures a second of fetching and judging alone, in batches as the stage makes them, without Kafka."""
    predictor = load_predictor(None, MAX_BATCH[Lane.ROUTINE], None)
    predictor.warm_up()
    batch = MAX_BATCH[Lane.ROUTINE]
    references = [stored.references[at % len(stored.references)] for at in range(cases)]
    started = time.perf_counter()
    for begin in range(0, cases, batch):
        pictures = [stored.store.fetch(reference) for reference in references[begin : begin + batch]]
        assert not any(isinstance(each, ImageProblem) for each in predictor.predict(pictures))
    return cases / (time.perf_counter() - started)


def _cpu(system: System) -> dict[str, float]:
    """CPU seconds so far of every process of the system, by name."""
    spent: dict[str, float] = {}
    for status in system.statuses():
        if status.pid is not None:
            times = psutil.Process(status.pid).cpu_times()
            spent[status.name] = times.user + times.system
    return spent
