"""Measures how cost grows with partitions and workers, with the size of pictures, and with the number of cases."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ops.bench.load import Stored, new_case, store_pictures
from ops.bench.on_kafka import Pipeline
from ops.bench.rounds import Throughput, backlog, bare_loop, wait, warm_up
from ops.system.system import Options, System
from schemas.events import Lane

#: Partitions of every topic, and workers of the routine lane.
SCALES = (1, 2, 4)
#: Pixels per side: 0.3, 2 and 12 megapixels.
SIDES = (548, 1414, 3464)
#: Distinct pictures per size; the generator takes seconds for each of the largest.
DISTINCT = 7
COUNTS = (1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """A cost (`unit`) over what it grows with (`what`): the measured points and their least-squares line."""

    what: str
    unit: str
    points: dict[float, float]

    @property
    def line(self) -> tuple[float, float]:
        """(slope, intercept)."""
        slope, intercept = np.polyfit(list(self.points), list(self.points.values()), 1)
        return float(slope), float(intercept)


def with_workers(folder: Path, env: Mapping[str, str], side: int, cases: int, show: Callable[[str], None]) -> Growth:
    """Cases per second with 1, 2 and 4 partitions and as many workers of the routine lane, each in a new system."""
    points: dict[float, float] = {}
    for scale in SCALES:
        show(f"growth: {scale} partitions and workers")
        options = Options(run_dir=folder / f"scale-{scale}", programs=())
        with System(options, lambda _: None, env={**env, "VIGIA_PARTITIONS": str(scale)}) as system:
            stored = store_pictures(system.settings, side)
            points[scale] = backlog(Pipeline(system, workers=scale), stored, cases).rate
    return Growth(what="partitions and workers", unit="cases per second", points=points)


def with_pixels(system: System, cases: int, show: Callable[[str], None]) -> Sequence[Growth]:
    """Milliseconds of processor time per case over megapixels: of the inference worker, and of the bare loop."""
    ours, bare = {}, {}
    for side in SIDES:
        show(f"growth: pictures of {side} × {side}")
        stored = store_pictures(system.settings, side, distinct=DISTINCT)
        megapixels = side * side / 1e6
        measured = backlog(Pipeline(system), stored, cases)
        ours[megapixels] = _worker_ms(measured)
        bare[megapixels] = bare_loop(stored, cases).cpu_ms
    return (
        Growth(what="megapixels, inference worker", unit="ms CPU per case", points=ours),
        Growth(what="megapixels, bare loop", unit="ms CPU per case", points=bare),
    )


def with_cases(system: System, stored: Stored, show: Callable[[str], None]) -> Growth:
    """Seconds from the first case published to the last result, over the number of cases published at once."""
    points: dict[float, float] = {}
    pipeline = Pipeline(system)
    pipeline.listen()
    pipeline.start()
    try:
        warm_up(pipeline, stored)
        for count in COUNTS:
            show(f"growth: {count} cases at once")
            load = [new_case(each, Lane.ROUTINE) for each in stored.repeated(count)]
            wanted = {case.case_id for case in load}
            started = time.time()
            pipeline.publish(load)
            done = wait(pipeline, wanted)
            points[count] = max(done[case_id] for case_id in wanted) - started
    finally:
        pipeline.stop()
        pipeline.close()
    return Growth(what="cases at once", unit="seconds to the last", points=points)


def _worker_ms(measured: Throughput) -> float:
    return sum(spent for name, spent in measured.cpu_s_per_1000.items() if name.startswith("inference-routine"))
